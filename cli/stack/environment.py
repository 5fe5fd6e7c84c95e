"""The environment of the programs: what they depend on, and nothing that a person has set for other programs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from shared.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent

#: Beginnings of variables that change how our libraries work. Such a variable is set for another program: a broker's
#: address, options of every gunicorn, a backend of Keras, an interpreter's mode.
FOREIGN = (
    *("CELERY", "GUNICORN_", "FLASK_", "WERKZEUG_", "PROMETHEUS_", "DJANGO_", "PYTHON"),
    *("KERAS_", "TF_", "XLA_", "OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "OPENBLAS_", "OV_", "OPENVINO_"),
)
#: Variables of `python -m celery` without such a beginning, and one that it reads differently from other programs.
FOREIGN_NAMES = {"APP", "BROKER_URL", "RESULT_BACKEND", "LOADER", "CONFIG_MODULE", "SKIP_CHECKS", "NO_COLOR"}
FOREIGN_NAMES |= {"FORKED_BY_MULTIPROCESSING", "WEB_CONCURRENCY"}
#: Variables that say what a machine's GPU can take, and how much TensorFlow logs.
KEPT = {"TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_CPP_MIN_LOG_LEVEL"}


def environment(given: Mapping[str, str], settings: Settings, redis_url: str) -> dict[str, str]:
    """Return the variables of the programs."""
    kept = {name: value for name, value in given.items() if name in KEPT or not _is_foreign(name)}
    defaults = {
        # By default glibc keeps a memory arena for each thread and rarely frees it; two are enough.
        "MALLOC_ARENA_MAX": "2",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",  # else the first process takes all memory of a GPU
    }
    own = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)]),
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",  # the folder that a program runs in has no modules
        "PYTHONUTF8": "1",  # whatever the terminal's locale is
        "KERAS_BACKEND": "tensorflow",
        "OPENBLAS_NUM_THREADS": "1",  # its threads wait actively, and every core has a process already
        "KERAS_HOME": str(_keras_home(given, settings)),
        "DARKROOM_DATA_DIR": str(settings.data_dir),
        "DARKROOM_REDIS_URL": redis_url,
    }
    if settings.cifar10:
        own["DARKROOM_CIFAR10"] = str(settings.cifar10.resolve())  # the programs run in another folder
    return defaults | kept | own


def _is_foreign(name: str) -> bool:
    return name in FOREIGN_NAMES or name.upper().startswith(FOREIGN)


def _keras_home(given: Mapping[str, str], settings: Settings) -> Path:
    """Return a folder for Keras without the person's `keras.json`, but with the datasets that Keras has downloaded."""
    home = settings.data_dir / "cache" / "keras"
    home.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(RuntimeError, OSError):  # no home, or linked by an earlier start
        theirs = Path(given.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
        if theirs.is_dir():
            (home / "datasets").symlink_to(theirs.resolve())
    return home
