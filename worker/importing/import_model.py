"""Import a model that was trained elsewhere: check it, load it safely, measure it, and publish it as a version.

python -m worker.importing cnn_model.h5 --out models

Runs in a separate process with resource limits, so that a malicious file can at most crash it. The exit status is
EX_DATAERR if the file is refused; one line on stderr says why.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from shared.domain.card import ModelCard
from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing, spelled
from shared.domain.text import decode_text
from shared.models.import_queue import KINDS, ModelImport, file_extension
from shared.models.labels import parse_labels
from worker.importing.files.archive import unpack
from worker.sandbox import run


def import_model(file: Path, wanted: ModelImport, out: Path) -> ModelCard:
    """Publish the model in `file` as the folder `out`/<version>, and return its card.

    The model's quality is measured if it is for CIFAR-10 and the data is available. Raises InvalidRequest with the
    reason if the file is refused.
    """
    with tempfile.TemporaryDirectory(dir=file.parent) as name:
        folder = Path(name)
        unpacked = unpack(file, folder)
        if unpacked.format in ("keras", "h5"):
            from worker.importing.import_keras import import_keras  # noqa: PLC0415  # TensorFlow takes seconds to load

            return import_keras(unpacked, wanted, folder, out)
        from worker.importing.graphs.import_graph import import_graph  # noqa: PLC0415

        return import_graph(unpacked, wanted, out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: print the version or the error, and return the exit status."""
    options = _parser().parse_args(arguments)
    _load_libraries(options.file)
    return run(lambda: print(import_model(options.file, _wanted(options), options.out).version))


def _wanted(options: argparse.Namespace) -> ModelImport:
    given = options.preprocessing
    return ModelImport(
        _sha256(options.file),
        options.source or options.file.name,
        options.labels,
        given,
        resize=options.resize or ("crop" if given and given.resize == "crop" else None),
        owner=options.owner,
        classifier=options.classifier,
        own=options.own,
    )


def _load_libraries(file: Path) -> None:
    """Load what the file needs before the memory is limited: TensorFlow alone takes gigabytes of addresses."""
    with file.open("rb") as content:
        ending = file_extension(content.read(8))
    if ending not in (".onnx", ".tflite"):
        import worker.importing.import_keras  # noqa: PLC0415
    import worker.importing.graphs.import_graph  # noqa: F401, PLC0415


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
        description="Check a model that was trained elsewhere and publish it as a folder with its card.",
    )
    parser.add_argument("file", type=Path, help=KINDS)
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
    parser.add_argument(
        "--resize", choices=("squash", "crop"), help="what the model sees of a picture: all of it, or the middle"
    )
    parser.add_argument("--source", help="origin, recorded on the card (default: the file's name)")
    parser.add_argument("--owner", help="owner of the version (default: nobody; it belongs to cifar10)")
    parser.add_argument(
        "--classifier", help="name of the classifier (default: cifar10 if the labels are its, else OWN)"
    )
    parser.add_argument("--own", default=ModelImport.own, help="name of a classifier of the owner's")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish to (default: models)")
    return parser
