"""Import a model that was trained elsewhere: check it, load it safely, measure it, and publish it as a version.

python -m worker.importing cnn_model.h5 --out models

Runs in a separate process with resource limits, so that a malicious file can at most crash it. The exit status is
EX_DATAERR if the file is refused; one line on stderr says why.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from shared.domain.card import ModelCard
from shared.domain.errors import DarkroomError, InvalidRequest, NotFound
from shared.models.import_queue import MAX_MODEL_BYTES, ModelImport
from shared.training.datasets import CIFAR10_LABELS
from worker.data.datasets import CIFAR10_SETTING, CIFAR10_SHAPE, Dataset, load_cifar10
from worker.importing import keras2_file
from worker.importing.adapt_model import adapt_model, check_shapes, value_range
from worker.importing.keras2_config import to_keras_3
from worker.importing.model_config import check
from worker.importing.model_file import first_line, read_config
from worker.publishing.publish import Provenance, publish_file

#: The `preset` on the card of an imported model.
PRESET = "imported"
#: Bytes of address space beyond what TensorFlow itself occupies.
MEMORY_BYTES = 4 * 1024**3
#: Seconds of processor time, in case the supervisor dies and cannot kill this process.
CPU_S = 1200


def import_model(file: Path, wanted: ModelImport, out: Path) -> ModelCard:
    """Publish the model in `file` as the folder `out`/<version>, and return its card.

    The model's quality is measured if it is for CIFAR-10 and the data is available. Raises InvalidRequest with the
    reason if the file is refused.
    """
    network = load_network(file)
    labels = check_shapes(network, wanted.labels)
    dataset = _dataset(network, labels)
    values = value_range(network, wanted.value_range, dataset)
    served, softmax = adapt_model(network, values.values)
    provenance = Provenance(
        preset=PRESET,
        params={
            "format": file.suffix.lstrip("."),
            "value_range": values.values,
            "value_range_basis": values.basis,
            "softmax_added": softmax,
        },
        labels=labels,
        source=wanted.source,
        source_sha256=wanted.sha256,
    )
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        saved = Path(folder) / "served.keras"
        served.save(saved)
        return publish_file(saved, provenance, out, dataset, temperature=1.0 if dataset else None)


def load_network(file: Path) -> Any:
    """Return the network in the file after checking its configuration. Raises InvalidRequest."""
    config, is_keras_2 = read_config(file)
    try:
        config = to_keras_3(config, file.suffix) if is_keras_2 else config
        check(config)
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(dir=file.parent) as folder:
            warnings.simplefilter("ignore")  # Keras warns about old file formats
            if is_keras_2:
                return keras2_file.load(file, config, Path(folder))
            return keras.saving.load_model(file, compile=False, safe_mode=True)
    except InvalidRequest:
        raise
    except Exception as error:  # Keras and the ZIP and HDF5 readers raise many types
        raise InvalidRequest(f"Keras cannot load the model: {first_line(error)}") from error


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
        wanted = ModelImport(
            _sha256(options.file), options.source or options.file.name, options.labels, options.value_range
        )
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
    return tuple(json.loads(Path(path).read_text(encoding="utf-8")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.importing",
        description="Check a Keras model that was trained elsewhere and publish it as a folder with its card.",
    )
    parser.add_argument("file", type=Path, help="a .keras or .h5 file")
    parser.add_argument(
        "--labels", type=_labels, help="JSON file with a list of class names (default: CIFAR-10's, for ten outputs)"
    )
    parser.add_argument(
        "--value-range", choices=["0-255", "0-1"], help="range of the pixels that the model expects (default: detected)"
    )
    parser.add_argument("--source", help="origin, recorded on the card (default: the file's name)")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish to (default: models)")
    return parser
