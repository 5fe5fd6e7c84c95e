"""The Celery app: `celery -A worker.runtime.app worker -Q interactive,bulk`."""

from __future__ import annotations

from shared import logs
from shared.jobs.messenger import celery_app
from shared.settings import load_settings
from shared.startup import exit_on_config_error
from worker.runtime.tasks import register

logs.configure()
with exit_on_config_error():
    app = celery_app(load_settings().resolved_broker_url())
register(app)
