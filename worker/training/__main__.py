"""`python -m worker.training`."""

import sys

from worker.training.command import main

if __name__ == "__main__":
    sys.exit(main())
