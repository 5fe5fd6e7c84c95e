"""`python -m worker.exporting`."""

import sys

from worker.exporting.export import main

if __name__ == "__main__":
    sys.exit(main())
