"""Publish a network as a version: a folder with a self-contained Keras file, its card, and its answers to the test."""

from __future__ import annotations

import hashlib
import logging
import platform
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
from worker import evaluate, hardware, keras_network, openvino_network
from worker.confusions import confusions
from worker.datasets import Dataset
from worker.forward import Network
from worker.measures import Measures, ViewsServed, measured, unmeasured
from worker.presets import Preset
from worker.train import TrainedModel

log = logging.getLogger(__name__)

#: Presets that are served with adaptive views unless somebody says otherwise: those that are after accuracy. The others
#: are after speed and plainness. The figures are in docs/decisions/0008-views.md.
ADAPTIVE_PRESETS = frozenset({"fast", "wide"})

#: Images that OpenVINO's answers are compared with those of Keras on, and how far apart probabilities may be.
SAMPLES, TOLERANCE = 256, 1e-3

#: The sources that decide what a training run gives, but for the preset's own.
SOURCES = (
    "adam.py",
    "augment.py",
    "corrections.py",
    "datasets.py",
    "evaluate.py",
    "forward.py",
    "keras_network.py",
    "measures.py",
    "muon.py",
    "openvino_network.py",
    "presets/base.py",
    "publish.py",
    "run.py",
    "steps.py",
    "train.py",
    "views.py",
    "whitening.py",
)


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


def publish(
    trained: TrainedModel, dataset: Dataset, out: Path, parent: str | None = None, *, served: ViewsServed | None = None
) -> ModelCard:
    """Save, measure and publish a trained network as the folder `out`/<version>, and return its card.

    `served` is over how many views; None leaves it to the preset. The validation images choose the temperature, and
    the threshold of adaptive views.
    """
    network = plain(trained)
    temperature = evaluate.temperature(evaluate.predict(network, dataset.x_val), dataset.y_val)
    about = About(
        preset=trained.preset.name,
        params=trained.params.as_dict(),
        labels=dataset.labels,
        seed=trained.seed,
        code_version=code_version(trained.preset),
        history=trained.history,
        best_epoch=trained.best_epoch,
        parent=parent,
        training_seconds=trained.seconds,
    )
    default: ViewsServed = "adaptive" if about.preset in ADAPTIVE_PRESETS else "one"
    with _staging(out) as folder:
        answering(network, temperature).save(folder / MODEL_FILE)
        return publish_file(folder / MODEL_FILE, about, out, dataset, temperature, served=served or default)


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
    with _staging(out) as folder:
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


def plain(trained: TrainedModel) -> Any:
    """Return the network with its weights in float32 throughout, which any machine can serve; it gives logits."""
    network = trained.preset.build(trained.params, replace(trained.setup, precision="float32"))
    network.set_weights(trained.model.get_weights())
    return keras.Model(network.inputs[0], network.outputs[0], name=trained.preset.name)


def answering(network: Any, temperature: float) -> Any:
    """Return the network with its logits divided by `temperature` and turned into probabilities."""
    scaled = keras.layers.Rescaling(1 / temperature, name="temperature")(network.outputs[0])
    answer = keras.layers.Softmax(name="probabilities")(scaled)
    return keras.Model(network.inputs[0], answer, name=network.name)


def _as_served(model: Any, folder: Path, images: NDArray[np.uint8]) -> Network:
    """Return what will run the model, tried on `images`: OpenVINO, and where that is not as good, Keras.

    The file for OpenVINO is kept only where its answers to the images are those of Keras.
    """
    by_keras, file = keras_network.compiled(model), folder / OPENVINO_FILE
    try:
        openvino_network.export(model, file)
        by_openvino = openvino_network.load(file, hardware.cores())
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
def _staging(out: Path) -> Iterator[Path]:
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


def code_version(preset: Preset[Any]) -> str:
    """Return `src-` and the first 12 digits of the sha256 over SOURCES and then the preset's own modules.

    It tells apart what the training code was even where there is no git, and ignores commits that did not touch it.
    """
    here = Path(__file__).parent
    modules = dict.fromkeys([preset.build.__module__, type(preset.params).__module__])
    own = [Path(file) for file in (sys.modules[name].__file__ for name in modules) if file]
    files = [*(here / name for name in SOURCES), *own]
    return "src-" + hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
