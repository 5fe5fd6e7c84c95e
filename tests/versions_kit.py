"""Model versions to publish: folders as a training leaves them, made from the shipped model."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from shared.domain.card import CARD_FILE, CONFUSIONS_FILE, MODEL_FILE, OPENVINO_FILE, PREDICTIONS_FILE, TRUTH_FILE
from shared.domain.classifier import CIFAR10
from shared.domain.errors import NotFound
from shared.models.registry import SHIPPED, Registry
from shared.models.versions import PREFIX
from shared.redis import keys
from shared.services import Services
from shared.settings import Settings
from tests.conftest import Service
from tests.integration.helpers import redis_of

Result = TypeVar("Result")

#: Ten test images, one of each class.
TRUTH = bytes(range(10))


def shipped() -> str:
    """Return the shipped version, the champion by default."""
    return Registry().champion().version


def all_shipped() -> list[str]:
    """Return the shipped versions of the default Classifier, the newest first."""
    return [card.version for card in Registry().versions() if card.belongs_to == CIFAR10]


def version_folder(parent: Path, model: bytes = b"no network", exported: bytes | None = None, **changes: Any) -> Path:
    """Create a version with these bytes as its Keras and OpenVINO models; `changes` are entries of its card."""
    digest = hashlib.sha256(model).hexdigest()
    card = json.loads((SHIPPED / shipped() / CARD_FILE).read_text())
    card |= {"file_sha256": digest, "version": f"copy-20260101-{digest[:8]}", "preset": "copy"}
    card |= {"openvino_sha256": hashlib.sha256(exported).hexdigest() if exported else None} | changes
    folder = parent / str(card["version"])
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(model)
    if exported:
        (folder / OPENVINO_FILE).write_bytes(exported)
    (folder / CARD_FILE).write_text(json.dumps(card))
    return folder


def measured(folder: Path, answers: bytes = TRUTH, truth: bytes = TRUTH) -> Path:
    """Add the files that an evaluated version has beside its card; return the folder."""
    (folder / PREDICTIONS_FILE).write_bytes(answers)
    (folder / TRUTH_FILE).write_bytes(truth)
    (folder / CONFUSIONS_FILE).write_bytes(b"\x89PNG")
    return folder


def copy_of_shipped(parent: Path) -> Path:
    """Copy the shipped version's folder."""
    return Path(shutil.copytree(SHIPPED / shipped(), parent / shipped()))


def apart(function: Callable[..., Result], *args: Any) -> Result:
    """Call a function that uses TensorFlow in a new process, since threads are set before the first operation."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def turned_network(parent: Path) -> Path:
    """Create a version of the shipped network that predicts label n + 1 instead of n."""
    import keras
    import numpy as np

    from worker.serving import openvino_runtime

    network = keras.saving.load_model(SHIPPED / shipped() / MODEL_FILE, compile=False)
    last = next(layer for layer in reversed(network.layers) if layer.weights)
    last.set_weights([np.roll(weights, 1, axis=-1) for weights in last.get_weights()])
    parent.mkdir(parents=True, exist_ok=True)
    network.save(parent / MODEL_FILE)
    openvino_runtime.export(network, parent / OPENVINO_FILE)
    return version_folder(parent, (parent / MODEL_FILE).read_bytes(), (parent / OPENVINO_FILE).read_bytes())


@contextmanager
def services_of(service: Service) -> Iterator[Services]:
    """Connect to the stores of a running service; delete published versions and their classifiers afterwards."""
    with redis_of(service) as client:
        where = client.connection_pool.connection_kwargs
        url = f"redis://:{where['password']}@127.0.0.1:{where['port']}/0"
        parts = Services.build(Settings(redis_url=url, data_dir=service.data_dir))
        try:
            yield parts
        finally:
            client.delete(keys.CHAMPION)
            for own in {card.belongs_to for card in parts.registry.versions() if card.owner}:
                with suppress(NotFound):  # a test has deleted it
                    parts.classifiers.remove(own)
            parts.blobs.delete_all(PREFIX)
            parts.close()
