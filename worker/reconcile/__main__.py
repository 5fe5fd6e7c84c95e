"""`python -m worker.reconcile`."""

from worker.reconcile.reconciler import main

if __name__ == "__main__":
    main()
