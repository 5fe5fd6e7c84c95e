"""The worker's Celery app with a visibility timeout of one second."""

import time

from shared.jobs.messenger import celery_app
from shared.redis.connection import connect
from shared.settings import load_settings
from worker.runtime.tasks import register

app = celery_app(load_settings().resolved_broker_url())
app.conf.broker_transport_options |= {
    "visibility_timeout": 1,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,  # check at each interval, not at every tenth
}
register(app)


@app.task(name="late", acks_late=True)
def late() -> None:
    """Run until the task is delivered a second time; the key `late` counts deliveries."""
    redis = connect(load_settings().resolved_redis_url())
    redis.incr("late")
    while int(redis.get("late")) < 2:
        time.sleep(0.1)
