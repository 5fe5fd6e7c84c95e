"""`python -m worker.webhooks`."""

from shared.startup import exit_on_config_error
from worker.webhooks.deliver import main

if __name__ == "__main__":
    with exit_on_config_error():
        main()
