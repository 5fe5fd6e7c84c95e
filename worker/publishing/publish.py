"""Publish a network as a version: a folder with a self-contained Keras file, its card, and its answers to the test."""

from __future__ import annotations

import hashlib
import logging
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.domain.card import (
    CARD_FILE,
    CONFUSIONS_FILE,
    MODEL_FILE,
    OPENVINO_FILE,
    PREDICTIONS_FILE,
    TRUTH_FILE,
    CorrectionsInfo,
    DatasetInfo,
    Epoch,
    Hardware,
    Input,
    ModelCard,
    Size,
    Software,
)
from shared.domain.errors import Conflict
from worker import hardware
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.evaluation.confusions import confusions
from worker.evaluation.metrics import Measures, ViewsServed, measured, unmeasured
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.forward import Network

log = logging.getLogger(__name__)

#: Images that OpenVINO's answers are compared with those of Keras on, and how far apart probabilities may be.
SAMPLES, TOLERANCE = 256, 1e-3


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _software() -> dict[Software, str]:
    import tensorflow as tf  # noqa: PLC0415 - what Keras computes with need not be it

    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "openvino": metadata.version("openvino"),
        "numpy": np.__version__,
    }


@dataclass(frozen=True, kw_only=True)
class About:
    """What no measure tells of a model: fields of its card, as `ModelCard` describes them."""

    preset: str
    params: Mapping[str, Any]
    labels: tuple[str, ...]
    seed: int | None = None
    code_version: str | None = None
    versions: Mapping[Software, str] = field(default_factory=_software)
    history: tuple[Epoch, ...] = ()
    best_epoch: int | None = None
    parent: str | None = None
    created_at: datetime = field(default_factory=_now)
    training_seconds: float | None = None
    source: str | None = None
    source_sha256: str | None = None


def publish_file(
    file: Path,
    about: About,
    out: Path,
    dataset: Dataset | None = None,
    temperature: float | None = None,
    *,
    served: ViewsServed = "one",
) -> ModelCard:
    """Measure a saved model and publish a copy of it as the folder `out`/<version>; return its card.

    The folder appears whole, or not at all. `file` is one that Keras can load safely, and gives probabilities over
    `about.labels` to one view of images (n, height, width, 3), values 0 to 255. `temperature` is what its logits are
    divided by, where that is known. Without a dataset nothing is known of its quality: the card has no measures, the
    folder only the file and the card, and it is served with one view.

    Raises Conflict where the version is there already.
    """
    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    with staging(out) as folder:
        shutil.copyfile(file, folder / MODEL_FILE)
        shape = model.input_shape[1:]
        network = _as_served(model, folder, dataset.x_val if dataset else evaluate.noise((SAMPLES, *shape)))
        measures = measured(network, dataset, temperature, served) if dataset else unmeasured(network, shape)
        if dataset:
            _write_answers(folder, dataset, measures.answers)
        card = _card(folder, model, about, dataset, measures)
        card.write(folder / CARD_FILE)
        if (out / card.version).exists():
            raise Conflict(f"There is a version {card.version} already.")
        folder.rename(out / card.version)
    return card


def _as_served(model: Any, folder: Path, images: NDArray[np.uint8]) -> Network:
    """Return what will run the model, tried on `images`: OpenVINO, and where that is not as good, Keras.

    The file for OpenVINO is kept only where its answers to the images are those of Keras.
    """
    by_keras, file = keras_runtime.compiled(model), folder / OPENVINO_FILE
    try:
        openvino_runtime.export(model, file)
        by_openvino = openvino_runtime.load(file, hardware.cores())
        _compare(by_openvino(images[:SAMPLES]), by_keras(images[:SAMPLES]))
    except Exception as error:  # noqa: BLE001  # whatever TensorFlow and OpenVINO say of layers they do not know
        log.warning("Keras will serve this model, which is slower: %s", error)
        file.unlink(missing_ok=True)
        return by_keras
    return by_keras if hardware.may_have_gpu() else by_openvino


def _compare(answers: evaluate.Floats, expected: evaluate.Floats) -> None:
    """Raise ValueError where answers (n, labels) are not the same but for rounding; NaN is the same as NaN."""
    difference = np.abs(answers - expected).max()
    if not np.allclose(answers, expected, rtol=0, atol=TOLERANCE, equal_nan=True):
        raise ValueError(f"OpenVINO's answers differ from those of Keras by {difference:.2g}")


def _write_answers(folder: Path, dataset: Dataset, answers: evaluate.Floats) -> None:
    """Write what is kept of `answers` (n, classes), to the test images; there are at most 256 classes."""
    (folder / PREDICTIONS_FILE).write_bytes(answers.argmax(axis=1).astype(np.uint8).tobytes())
    (folder / TRUTH_FILE).write_bytes(dataset.y_test.astype(np.uint8).tobytes())
    Image.fromarray(confusions(dataset.x_test, dataset.y_test, answers)).save(folder / CONFUSIONS_FILE, optimize=True)


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Make a folder in `out` with a name that no version has; remove what is left of it at the end."""
    folder = out / f".{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _card(folder: Path, model: Any, about: About, dataset: Dataset | None, measures: Measures) -> ModelCard:
    height, width, channels = model.input_shape[1:]
    file, exported = folder / MODEL_FILE, folder / OPENVINO_FILE
    digest = _digest(file)
    return ModelCard(
        version=f"{about.preset}-{about.created_at:%Y%m%d}-{digest[:8]}",
        input=Input(height=height, width=width, channels=channels),
        dataset=_dataset_info(dataset) if dataset else None,
        corrections=_corrections_info(dataset, measures) if dataset else None,
        hardware=Hardware(cpu=hardware.cpu_name(), cores=hardware.cores(), gpu=hardware.gpu_name()),
        metrics=measures.metrics,
        calibration=measures.calibration,
        views=measures.views,
        size=Size(file_bytes=file.stat().st_size, parameters=model.count_params()),
        latency=measures.latency,
        file_sha256=digest,
        openvino_sha256=_digest(exported) if exported.exists() else None,
        **vars(about),
    )


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _dataset_info(dataset: Dataset) -> DatasetInfo:
    return DatasetInfo(
        name=dataset.name,
        digest=dataset.digest,
        train=len(dataset.x_train),
        validation=len(dataset.x_val),
        test=len(dataset.x_test),
    )


def _corrections_info(dataset: Dataset, measures: Measures) -> CorrectionsInfo | None:
    corrections = dataset.corrections
    if corrections is None:
        return None
    rival = corrections.rival
    return CorrectionsInfo(
        base_digest=corrections.base_digest,
        learnt=corrections.learnt,
        weight=corrections.weight,
        held_out=len(corrections.x),
        accuracy=measures.corrected_accuracy,
        champion=rival.version if rival else None,
        champion_accuracy=rival.accuracy if rival else None,
    )
