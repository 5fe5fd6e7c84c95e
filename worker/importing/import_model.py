"""Import a model that was trained elsewhere: check it, load it safely, measure it, and publish it as a version.

python -m worker.importing cnn_model.h5 --out models

Runs in a separate process with resource limits, so that a malicious file can at most crash it. The exit status is
EX_DATAERR if the file is refused; one line on stderr says why.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shared.domain.card import ModelCard
from shared.domain.errors import DarkroomError, InvalidRequest, NotFound
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing, name_of, spelled
from shared.domain.text import decode_text
from shared.models.import_queue import MAX_MODEL_BYTES, ModelImport
from shared.models.labels import parse_labels
from shared.training.datasets import CIFAR10_LABELS
from worker.data.datasets import CIFAR10_SETTING, CIFAR10_SHAPE, Dataset, load_cifar10
from worker.importing import keras2_file
from worker.importing.adapt_model import adapt_model, check_shapes, try_network
from worker.importing.archive import Unpacked, unpack
from worker.importing.input_range import InputRange, Measure, find_range
from worker.importing.keras2_config import to_keras_3
from worker.importing.labelled import Pictures, labelled_pictures
from worker.importing.model_config import check
from worker.importing.model_file import first_line, read_config
from worker.importing.scores import Scores, find_scores
from worker.publishing.publish import Provenance, publish_file
from worker.serving.preprocess import preprocess

#: The `preset` on the card of an imported model.
PRESET = "imported"
#: Bytes of address space beyond what TensorFlow itself occupies.
MEMORY_BYTES = 4 * 1024**3
#: Pictures in one pass, of any size up to the largest.
BATCH_SIZE = 32
#: Seconds of processor time, in case the supervisor dies and cannot kill this process.
CPU_S = 1200


def import_model(file: Path, wanted: ModelImport, out: Path) -> ModelCard:
    """Publish the model in `file` as the folder `out`/<version>, and return its card.

    The model's quality is measured if it is for CIFAR-10 and the data is available. Raises InvalidRequest with the
    reason if the file is refused.
    """
    with tempfile.TemporaryDirectory(dir=file.parent) as name:
        folder = Path(name)
        unpacked = unpack(file, folder)
        loaded = read_config(unpacked.file)
        network = load_network(unpacked.file)
        labels = check_shapes(network, wanted.labels or unpacked.labels)
        dataset = _dataset(network, labels)
        used = _input_range(network, wanted, unpacked, labels, dataset)
        scores = find_scores(network, try_network(network, used.preprocessing), labels, loaded.loss)
        saved = folder / "served.keras"
        adapt_model(network, scores).save(saved)
        provenance = _provenance(unpacked.file, wanted, labels, used, scores)
        is_calibrated = dataset and scores.outputs == "probabilities"
        return publish_file(saved, provenance, out, dataset, temperature=1.0 if is_calibrated else None)


def load_network(file: Path) -> Any:
    """Return the network in the file after checking its configuration. Raises InvalidRequest."""
    found = read_config(file)
    try:
        config = to_keras_3(found.config, file.suffix) if found.is_keras_2 else found.config
        check(config)
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=file.parent) as folder:
            warnings.simplefilter("ignore")  # Keras warns about old file formats
            if found.is_keras_2:
                return keras2_file.load(file, config, Path(folder))
            return keras.saving.load_model(file, compile=False, safe_mode=True)
    except InvalidRequest:
        raise
    except Exception as error:  # Keras and the ZIP and HDF5 readers raise many types
        raise InvalidRequest(f"Keras cannot load the model: {first_line(error)}") from error


def _input_range(
    network: Any, wanted: ModelImport, unpacked: Unpacked, labels: tuple[str, ...], dataset: Dataset | None
) -> InputRange:
    if unpacked.is_teachable_machine and wanted.preprocessing is None:
        note = "Pixel values: −1 to 1, as all models of Teachable Machine take them."
        return InputRange(PREPROCESSINGS["-1..1"], "Teachable Machine", note)
    height, width = network.inputs[0].shape[1:3]
    pictures = labelled_pictures(labels, height, width, dataset)
    return find_range(network, wanted.preprocessing, pictures, measure_on(network, pictures))


def measure_on(network: Any, pictures: Pictures | None) -> Measure:
    """Return a function that returns whether the network is right about each of the pictures."""

    def measure(how: Preprocessing) -> NDArray[np.bool_]:
        if pictures is None:
            return np.zeros(0, np.bool_)
        inputs = preprocess(pictures.x.astype(np.float32), how)
        answers = network.predict(inputs, batch_size=BATCH_SIZE, verbose=0)
        return np.asarray(answers.argmax(axis=1) == pictures.y)

    return measure


def _provenance(
    file: Path, wanted: ModelImport, labels: tuple[str, ...], used: InputRange, scores: Scores
) -> Provenance:
    return Provenance(
        preset=PRESET,
        params={
            "format": file.suffix.lstrip("."),
            "value_range": name_of(used.preprocessing),
            "value_range_basis": used.basis,
            "softmax_added": scores.added == "softmax",
            "sigmoid_added": scores.added == "sigmoid",
        },
        labels=labels,
        source=wanted.source,
        source_sha256=wanted.sha256,
        preprocessing=used.preprocessing,
        outputs=scores.outputs,
        notes=(used.note, scores.note),
    )


def _dataset(network: Any, labels: tuple[str, ...]) -> Dataset | None:
    """Return CIFAR-10 if the model is for it and a local copy is set; never download it."""
    if labels != CIFAR10_LABELS or tuple(network.inputs[0].shape[1:]) != CIFAR10_SHAPE:
        return None
    try:
        return load_cifar10() if CIFAR10_SETTING in os.environ else None
    except (NotFound, InvalidRequest) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return None


def limit_resources() -> None:
    """Limit the memory, file size and processor time of this process to what the largest allowed model needs."""
    pages = Path("/proc/self/statm")
    if pages.exists():  # only Linux enforces a limit on the address space
        taken = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MAX_MODEL_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: print the version or the error, and return the exit status."""
    options = _parser().parse_args(arguments)
    limit_resources()
    try:
        source = options.source or options.file.name
        wanted = ModelImport(_sha256(options.file), source, options.labels, options.preprocessing)
        print(import_model(options.file, wanted, options.out).version)
    except InvalidRequest as error:
        print(error, file=sys.stderr)
        return os.EX_DATAERR
    except (DarkroomError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return os.EX_OK


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _labels(path: str) -> tuple[str, ...]:
    try:
        return tuple(parse_labels(decode_text(Path(path).read_bytes(), path)))
    except InvalidRequest as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.importing",
        description="Check a Keras model that was trained elsewhere and publish it as a folder with its card.",
    )
    parser.add_argument("file", type=Path, help="a .keras or .h5 file, or Teachable Machine's converted_keras.zip")
    parser.add_argument(
        "--labels", type=_labels, help="file with a class name in each line (default: CIFAR-10's, for ten outputs)"
    )
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--value-range",
        dest="preprocessing",
        type=lambda name: PREPROCESSINGS[spelled(name)],
        help=f"values of the pixels that the model takes: {', '.join(PREPROCESSINGS)} (default: detected)",
    )
    given.add_argument(
        "--preprocessing", type=Preprocessing.model_validate_json, help="the same as JSON, as on a version's card"
    )
    parser.add_argument("--source", help="origin, recorded on the card (default: the file's name)")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish to (default: models)")
    return parser
