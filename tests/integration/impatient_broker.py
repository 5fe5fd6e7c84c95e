"""The worker's Celery app, with a broker that delivers again what is not acknowledged within a second."""

from shared.queue import celery_app
from shared.settings import load_settings
from worker.tasks import register

app = celery_app(load_settings().resolved_broker_url())
app.conf.broker_transport_options |= {"visibility_timeout": 1, "unacked_restore_limit": None}
register(app)
