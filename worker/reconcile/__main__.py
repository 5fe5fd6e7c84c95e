"""`python -m worker.reconcile`."""

from shared.startup import exit_on_config_error
from worker.reconcile.reconciler import main

if __name__ == "__main__":
    with exit_on_config_error():
        main()
