"""The worker's Celery app, in which some pictures kill the process and others are never decoded."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

from shared.jobs.messenger import celery_app
from shared.settings import load_settings
from tests.faults.poison import HANGS, KILLS, TIMEOUT_S
from worker.classify import classifier
from worker.runtime import tasks

decode = classifier.decode


def decode_poison(data: bytes, *how: Any) -> np.ndarray:
    """Decode as the worker does, except for poison."""
    if KILLS in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if HANGS in data:
        time.sleep(1000 * TIMEOUT_S)
    return decode(data, *how)


classifier.decode = decode_poison
tasks.CLASSIFY_TIMEOUT_S = TIMEOUT_S
app = celery_app(load_settings().resolved_broker_url())
tasks.register(app)
