"""`darkroom up` with another Celery app for the workers: `python -m tests.faults.up tests.faults.slow`."""

import sys

from cli.stack import programs, up
from shared.settings import load_settings

app = sys.argv[1]
worker = programs.worker
programs.worker = lambda *options: [app if word == "worker.runtime.app" else word for word in worker(*options)]
sys.exit(up.run(load_settings()))
