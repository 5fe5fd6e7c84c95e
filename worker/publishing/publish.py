"""Publish a network as a version: a folder with a Keras file, its card and its predictions on the test images."""

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
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.domain.card import (
    ANSWERS_FILE,
    CARD_FILE,
    CONFUSIONS_FILE,
    MODEL_FILE,
    OPENVINO_FILE,
    PREDICTIONS_FILE,
    TRUTH_FILE,
    BackboneRef,
    CorrectionsInfo,
    DatasetInfo,
    Epoch,
    Hardware,
    Input,
    ModelCard,
    NetworkFile,
    Outputs,
    Size,
    Software,
)
from shared.domain.classifier import CIFAR10
from shared.domain.errors import Conflict
from shared.domain.preprocessing import Preprocessing
from shared.models.answers import Answered, pack_answers
from shared.models.comparison import pack_indices
from worker import hardware
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.evaluation.confusions import confusion_image
from worker.evaluation.measurements import Measurements, ViewsServed, measure_served, measure_speed
from worker.serving import keras_runtime, openvino_runtime
from worker.serving.forward import EMBEDDING, Network

log = logging.getLogger(__name__)

#: Images on which OpenVINO is compared with Keras, and the largest difference of a probability.
SAMPLES, TOLERANCE = 256, 1e-3


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _software() -> dict[Software, str]:
    """Return the versions of the installed packages, without importing them."""
    packages: dict[Software, str] = {name: metadata.version(name) for name in ("keras", "openvino", "numpy")}
    return {"python": platform.python_version(), **packages, "tensorflow": _tensorflow()}


@cache
def _tensorflow() -> str:
    """Return the version of the package that has TensorFlow; looking through all packages takes 0.2 s."""
    package = next(iter(metadata.packages_distributions().get("tensorflow", ["tensorflow"])))
    return metadata.version(package)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Fields of a card that are not measured: how the model was made. See `ModelCard`."""

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
    owner: str | None = None
    classifier: str = CIFAR10.name
    embedding: int | None = None
    backbone: BackboneRef | None = None
    preprocessing: Preprocessing = keras_runtime.NONE
    outputs: Outputs = "probabilities"
    notes: tuple[str, ...] = ()


def publish_file(
    file: Path,
    provenance: Provenance,
    out: Path,
    dataset: Dataset | None = None,
    temperature: float | None = None,
    *,
    served: ViewsServed = "one",
) -> ModelCard:
    """Measure a saved model, publish a copy of it as the folder `out`/<version>, and return its card.

    The folder is created atomically. `file` must load in Keras's safe mode and output scores over `provenance.labels`
    for one view of images (n, height, width, 3), preprocessed as `provenance` says. `temperature` is the divisor of its
    logits, if known. Without a dataset, the card has no quality metrics, the folder has only the file and the card, and
    the model is served with one view.

    Raises Conflict if the version exists.
    """
    import keras  # noqa: PLC0415  # a Head is published without it

    model = keras.saving.load_model(file, compile=False, safe_mode=True)
    with staging(out) as folder:
        shutil.copyfile(file, folder / MODEL_FILE)
        shape = model.input_shape[1:]
        samples = dataset.x_val if dataset else evaluate.noise((SAMPLES, *shape))
        network = _compile_for_serving(model, folder, samples, provenance)
        measurements = (
            measure_served(network, dataset, temperature, served) if dataset else measure_speed(network, shape)
        )
        return complete_measured(
            folder, out, provenance, measurements, shape=shape, parameters=model.count_params(), dataset=dataset
        )


def complete_measured(
    folder: Path,
    out: Path,
    provenance: Provenance,
    measurements: Measurements,
    *,
    shape: tuple[int, int, int],
    parameters: int,
    dataset: Dataset | None = None,
    network_file: NetworkFile = MODEL_FILE,
) -> ModelCard:
    """Write the answers and the card of a version that was measured, make its folder visible, and return the card.

    `shape` is the input's: height, width, channels. Raises Conflict if the version exists.
    """
    if dataset:
        _write_answers(folder, dataset, measurements.answers)
    card = make_card(
        folder,
        Input(height=shape[0], width=shape[1], channels=shape[2]),
        parameters,
        provenance,
        measurements,
        dataset=dataset_info(dataset) if dataset else None,
        corrections=_corrections_info(dataset, measurements) if dataset else None,
        network_file=network_file,
    )
    complete(folder, card, out)
    return card


def complete(folder: Path, card: ModelCard, out: Path) -> None:
    """Write the card to the folder of a version, and make the folder visible. Raises Conflict if it exists."""
    card.write(folder / CARD_FILE)
    if (out / card.version).exists():
        raise Conflict(f"Version {card.version} exists already.")
    folder.rename(out / card.version)


def _compile_for_serving(model: Any, folder: Path, images: NDArray[np.uint8], provenance: Provenance) -> Network:
    """Return the model compiled as it will be served: by OpenVINO if that agrees with Keras on `images`, else by Keras.

    The OpenVINO file is kept only if they agree.
    """
    by_keras, file = keras_runtime.compiled(model, provenance.preprocessing), folder / OPENVINO_FILE
    try:
        openvino_runtime.export(model, file, EMBEDDING if provenance.embedding else None, provenance.preprocessing)
        by_openvino = openvino_runtime.load(file, hardware.cores())
        _compare(by_openvino(images[:SAMPLES]), by_keras(images[:SAMPLES]))
    except Exception as error:  # noqa: BLE001  # TensorFlow and OpenVINO raise many types for unsupported layers
        log.warning("this model will be served by Keras, which is slower: %s", error)
        file.unlink(missing_ok=True)
        return by_keras
    return by_keras if hardware.may_have_gpu() else by_openvino


def _compare(answers: evaluate.Floats, expected: evaluate.Floats) -> None:
    """Raise ValueError if the outputs (n, labels) differ by more than TOLERANCE; NaN equals NaN."""
    difference = np.abs(answers - expected).max()
    if not np.allclose(answers, expected, rtol=0, atol=TOLERANCE, equal_nan=True):
        raise ValueError(f"OpenVINO's output differs from that of Keras by {difference:.2g}")


def _write_answers(folder: Path, dataset: Dataset, answers: evaluate.Floats) -> None:
    """Write the predicted and the true classes and the confusion image for `answers` (n, classes).

    If the pictures are an owner's, write the answers to them, too.
    """
    write_indices(folder, answers.argmax(axis=1), dataset.y_test, len(dataset.labels))
    if dataset.test_numbers is not None:
        write_answers(folder, dataset.test_numbers, dataset.y_test, answers)
    Image.fromarray(confusion_image(dataset.x_test, dataset.y_test, answers)).save(
        folder / CONFUSIONS_FILE, optimize=True
    )


def write_indices(folder: Path, predicted: NDArray[Any], truth: NDArray[Any], labels: int) -> None:
    """Write the predicted and the true indices of labels (n,) of the test images."""
    (folder / PREDICTIONS_FILE).write_bytes(pack_indices(predicted.tolist(), labels))
    (folder / TRUTH_FILE).write_bytes(pack_indices(truth.tolist(), labels))


def write_answers(
    folder: Path,
    numbers: NDArray[Any],
    truth: NDArray[Any],
    probabilities: evaluate.Floats,
    novelty: NDArray[Any] | None = None,
) -> None:
    """Write the answers to the test pictures of a Dataset, for those who want to see the pictures behind a figure.

    `numbers`, `truth` and `novelty` have the shape (n,), `probabilities` (n, labels).
    """
    columns = (numbers, truth, probabilities.argmax(axis=1), probabilities.max(axis=1))
    distances = [None] * len(numbers) if novelty is None else novelty.tolist()
    rows = zip(*(column.tolist() for column in columns), distances, strict=True)
    (folder / ANSWERS_FILE).write_bytes(pack_answers(Answered(*row) for row in rows))


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """Create a temporary folder in `out`; delete it at the end unless it was renamed."""
    folder = out / f".{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_card(
    folder: Path,
    shape: Input,
    parameters: int,
    provenance: Provenance,
    measurements: Measurements,
    *,
    dataset: DatasetInfo | None = None,
    corrections: CorrectionsInfo | None = None,
    network_file: NetworkFile = MODEL_FILE,
) -> ModelCard:
    """Return the card of the version whose files are in `folder`."""
    file, exported = folder / network_file, folder / OPENVINO_FILE
    return ModelCard(
        version=version_of(provenance, file),
        input=shape,
        dataset=dataset,
        corrections=corrections,
        hardware=Hardware(cpu=hardware.cpu_name(), cores=hardware.cores(), gpu=hardware.gpu_name()),
        metrics=measurements.metrics,
        calibration=measurements.calibration,
        unknown=measurements.unknown,
        views=measurements.views,
        size=Size(file_bytes=file.stat().st_size, parameters=parameters),
        latency=measurements.latency,
        network_file=network_file,
        file_sha256=sha256(file),
        openvino_sha256=sha256(exported) if exported.exists() else None,
        **vars(provenance),
    )


def version_of(provenance: Provenance, file: Path) -> str:
    """Return the name of the version whose network is in `file`."""
    return f"{provenance.preset}-{provenance.created_at:%Y%m%d}-{sha256(file)[:8]}"


def sha256(file: Path) -> str:
    """Return the digest of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def dataset_info(dataset: Dataset) -> DatasetInfo:
    """Return what a card says about the images."""
    return DatasetInfo(
        name=dataset.name,
        id=dataset.origin.id if dataset.origin else None,
        revision=dataset.origin.revision if dataset.origin else None,
        digest=dataset.digest,
        train=len(dataset.x_train),
        validation=len(dataset.x_val),
        test=len(dataset.x_test),
    )


def _corrections_info(dataset: Dataset, measurements: Measurements) -> CorrectionsInfo | None:
    corrections = dataset.corrections
    if corrections is None:
        return None
    champion = corrections.champion
    return CorrectionsInfo(
        base_digest=corrections.base_digest,
        learnt=corrections.learnt,
        weight=corrections.weight,
        held_out=len(corrections.x),
        accuracy=measurements.corrected_accuracy,
        champion=champion.version if champion else None,
        champion_accuracy=champion.accuracy if champion else None,
    )
