"""`python -m worker.webhooks`."""

from worker.webhooks.deliver import main

if __name__ == "__main__":
    main()
