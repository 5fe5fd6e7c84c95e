"""`python -m worker.importing`."""

import sys

from worker.importing.import_model import main

if __name__ == "__main__":
    sys.exit(main())
