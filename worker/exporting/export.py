"""Export a model version: a zip with the network in a format, and with all that a program needs to answer alike.

python -m worker.exporting models/VERSION --format onnx --out VERSION.zip

Runs in a separate process with resource limits. The exit status is EX_DATAERR if the version cannot be exported; one
line on stderr says why.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from shared.domain.card import CARD_FILE, HEAD_FILE, MODEL_FILE, OPENVINO_FILE, ModelCard
from shared.domain.errors import InvalidRequest
from shared.models.exports import ExportFormat
from worker.evaluation import evaluate
from worker.exporting.contents import write_contents
from worker.exporting.formats import WRITERS, write
from worker.exporting.network import Run, as_served, service
from worker.sandbox import run
from worker.serving.head import Head
from worker.serving.openvino_runtime import LAYERS, WEIGHTS

#: Images on which the exported network is compared with the service, and the largest difference of a score.
SAMPLES, TOLERANCE = 4, 1e-3


def export(version: Path, kind: ExportFormat, out: Path) -> None:
    """Write the zip of the version in a folder to `out`.

    Raises InvalidRequest, with the reason, if the format cannot express the network, or if what was written does not
    answer as the service does.
    """
    card = ModelCard.read(version / CARD_FILE)
    with tempfile.TemporaryDirectory(dir=out.parent) as name:
        folder = Path(name)
        if card.has_keras:
            _convert(version, card, kind, folder)
        else:
            _take_over(version, kind, folder)
        write_contents(card, kind, WRITERS[kind].file, folder)
        _zip(folder, out, card.created_at.timestamp())


def _convert(version: Path, card: ModelCard, kind: ExportFormat, folder: Path) -> None:
    """Write the network of a version in a format, and check it."""
    head = Head.load(version / HEAD_FILE) if card.backbone else None
    network = _load(version / MODEL_FILE)
    written = write(as_served(network, card, head), kind, folder)
    _compare(written, service(network, card, head), evaluate.noise((SAMPLES, *network.input_shape[1:])), kind)


def _take_over(version: Path, kind: ExportFormat, folder: Path) -> None:
    """Copy the network of a version that was imported from another format than Keras's, and is only for OpenVINO."""
    if kind is not ExportFormat.OPENVINO:
        raise InvalidRequest(f"its network is only there for OpenVINO: it cannot be written as {kind}, but as openvino")
    with zipfile.ZipFile(version / OPENVINO_FILE) as archive:
        for member in (LAYERS, WEIGHTS):
            target = (folder / WRITERS[kind].file).with_suffix(Path(member).suffix)
            target.write_bytes(archive.read(member))


def _load(file: Path) -> Any:
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras's own errors, and those of the ZIP and HDF5 readers
        raise InvalidRequest(f"Keras cannot load the version: {error}") from error


def _compare(written: Run, expected: Run, images: NDArray[np.uint8], kind: ExportFormat) -> None:
    """Raise InvalidRequest unless both give the same answers."""
    pairs = zip(written(images), expected(images), strict=False)
    difference = max(float(np.abs(answer - wanted).max()) for answer, wanted in pairs)
    if not difference <= TOLERANCE:
        raise InvalidRequest(f"the network written as {kind} answers otherwise: its scores differ by {difference:.2g}")


def _zip(folder: Path, out: Path, at: float) -> None:
    """Write the files in a folder to a zip, all of them with this time of modification."""
    when = time.gmtime(at)[:6]
    with zipfile.ZipFile(out, "x", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            entry = zipfile.ZipInfo(file.name, when)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: write the zip or print the error, and return the exit status."""
    options = _parser().parse_args(arguments)
    return run(lambda: export(options.version, options.format, options.out))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker.exporting", description="Export a model version as a zip.")
    parser.add_argument("version", type=Path, help="folder of the version")
    parser.add_argument("--format", type=ExportFormat, required=True, help=", ".join(ExportFormat))
    parser.add_argument("--out", type=Path, required=True, help="the zip to write")
    return parser
