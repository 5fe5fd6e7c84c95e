"""Helpers for tests of imports: import a file, serve the version, name the refusal."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.domain.card import ModelCard
from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS
from shared.models.import_queue import ModelImport
from shared.models.registry import Registry
from tests.conftest import ROOT
from worker.importing.import_model import import_model
from worker.serving.models import ModelCache

ENDINGS = [".keras", ".h5"]
#: Three images of noise.
IMAGES = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def imported(file: Path, **wishes: Any) -> ModelCard:
    """Import a file into the folder `out` next to it, for values from 0 to 1 by default."""
    wishes = {"preprocessing": PREPROCESSINGS["0-1"]} | wishes
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return import_model(file, ModelImport(digest, file.name, **wishes), file.parent / "out")


def served(file: Path, card: ModelCard, threads: int, images: np.ndarray = IMAGES) -> np.ndarray:
    """Return the output of a worker with the imported version."""
    return ModelCache(Registry(file.parent / "out"), threads).get(card.version).forward(images)


def refused(file: Path, **wishes: Any) -> str:
    """Return the reason for refusing a file; nothing of it is left."""
    with pytest.raises(InvalidRequest) as caught:
        imported(file, **wishes)
    assert list((file.parent / "out").glob("*")) == []
    return str(caught.value)


def set_config(layer: int, **entries: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of a layer's configuration."""
    return lambda config: config["config"]["layers"][layer]["config"].update(entries)


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process with its limits."""
    return subprocess.run(
        [sys.executable, "-m", "worker.importing", *words],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
