"""Environment variables that people set for other programs. Every service of the tests starts with them."""

from __future__ import annotations

import json
from pathlib import Path

#: Each of these alone once kept Darkroom from working, or would: a broker that is not there, a queue that is emptied,
#: a backend that is not installed, options that Celery and gunicorn take from the environment.
VARIABLES = {
    "APP": "theirs",
    "BROKER_URL": "amqp://guest@127.0.0.1:5699//",
    "CELERY_BROKER_URL": "redis://127.0.0.1:6999/0",
    "CELERY_BROKER_READ_URL": "redis://127.0.0.1:6999/0",
    "CELERY_BROKER_WRITE_URL": "amqp://guest@127.0.0.1:5699//",
    "CELERY_WORKER_PURGE": "1",
    "CONFIG_MODULE": "theirs",
    "FLASK_DEBUG": "1",
    "FORKED_BY_MULTIPROCESSING": "1",
    "GUNICORN_CMD_ARGS": "--workers 9 --bind 0.0.0.0:1",
    "KERAS_BACKEND": "jax",
    "LC_ALL": "POSIX",
    "LOADER": "theirs",
    "NO_COLOR": "please",
    "OMP_NUM_THREADS": "many",
    "PROMETHEUS_MULTIPROC_DIR": "/missing",
    "PYTHONIOENCODING": "ascii",
    "PYTHONWARNINGS": "error",
    "TF_USE_LEGACY_KERAS": "1",
    "XLA_FLAGS": "--theirs",
}
#: `~/.keras/keras.json`.
KERAS = {"backend": "theano", "floatx": "float16", "image_data_format": "channels_first", "epsilon": 1e-3}


def environment(home: Path) -> dict[str, str]:
    """Return the variables, with a home folder that has the settings of another Keras."""
    (home / ".keras").mkdir(parents=True, exist_ok=True)
    (home / ".keras" / "keras.json").write_text(json.dumps(KERAS))
    return {**VARIABLES, "HOME": str(home)}
