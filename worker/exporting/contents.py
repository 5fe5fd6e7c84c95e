"""The files beside the network in an export: what a program needs to give the network a picture and read its answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from shared.domain.card import ModelCard
from shared.models.exports import ExportFormat

TEMPLATE: Final = Path(__file__).parent / "predict.template"


@dataclass(frozen=True)
class Runtime:
    """How a program runs a format: the packages, the import, and lines that define `run(images)`."""

    packages: str
    imports: str
    network: str


_KERAS = """\
NETWORK = keras.saving.load_model(HERE / "model.keras", compile=False)
def run(images):
    outputs = NETWORK(images, training=False)
    return [keras.ops.convert_to_numpy(each) for each in (outputs if isinstance(outputs, list) else [outputs])]"""
_ONNX = """\
NETWORK = onnxruntime.InferenceSession(HERE / "model.onnx")
def run(images):
    return NETWORK.run(None, {"images": images})"""
_LITERT = """\
NETWORK = Interpreter(str(HERE / "model.tflite"))
NETWORK.allocate_tensors()
def run(images):
    NETWORK.set_tensor(NETWORK.get_input_details()[0]["index"], images)
    NETWORK.invoke()
    return [NETWORK.get_tensor(output["index"]) for output in NETWORK.get_output_details()]"""
_OPENVINO = """\
NETWORK = openvino.Core().compile_model(HERE / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
def run(images):
    return list(NETWORK([images]).values())"""

RUNTIMES: Final = {
    ExportFormat.KERAS: Runtime("pillow numpy keras tensorflow", "import keras", _KERAS),
    ExportFormat.ONNX: Runtime("pillow numpy onnxruntime", "import onnxruntime", _ONNX),
    ExportFormat.LITERT: Runtime(
        "pillow numpy ai-edge-litert", "from ai_edge_litert.interpreter import Interpreter", _LITERT
    ),
    ExportFormat.OPENVINO: Runtime("pillow numpy openvino", "import openvino", _OPENVINO),
}

README: Final = Template("""\
# $version

This is a model version of the classifier `$classifier`, exported from Darkroom as $format. It has $labels labels.

    pip install $packages
    python predict.py PICTURE...

prints the best label of each picture and its score, as Darkroom does.

- `$file`: the network. It takes pictures of $width × $height pixels as they are: RGB, values 0 to 255 as uint8, shape
  (n, $height, $width, 3). It scales the values itself.$outputs
- `labels.txt`: the names of the scores, one on each line.
- `preprocessing.json`: how a file becomes such a picture, and when the answer is "unknown".
- `predict.py`: both, in Python. Write the same in another language and compare.

The scores are those of Darkroom to about 0.01 for JPEG, PNG, WebP, GIF, BMP, AVIF and TIFF. Pillow does not read some
unusual TIFFs, such as those of 12 bits, as Darkroom does. It reads HEIC with the package `pillow-heif`, after
`pillow_heif.register_heif_opener()`.
""")


def write_contents(card: ModelCard, kind: ExportFormat, file: str, folder: Path) -> None:
    """Write the files beside the network `file` to a folder."""
    runtime = RUNTIMES[kind]
    labels = [re.sub(r"[\r\n]", " ", label) for label in card.labels]
    described = json.dumps(preprocessing(card, kind, file), indent=2, ensure_ascii=False)
    script = Template(TEMPLATE.read_text("utf-8")).substitute(vars(runtime))
    (folder / "labels.txt").write_text("\n".join(labels) + "\n", "utf-8")
    (folder / "preprocessing.json").write_text(described + "\n", "utf-8")
    (folder / "predict.py").write_text(script, "utf-8")
    (folder / "README.md").write_text(_readme(card, kind, file), "utf-8")


def preprocessing(card: ModelCard, kind: ExportFormat, file: str) -> dict[str, object]:
    """Return what `preprocessing.json` says. What the network does itself is described as sentences."""
    return {
        "version": card.version,
        "format": kind,
        "network": file,
        "width": card.input.width,
        "height": card.input.height,
        "orientation": "upright by the EXIF orientation",
        "background": "white",
        "resize": card.preprocessing.resize,
        "filter": "bicubic",
        "channels": "RGB",
        "scale": 1,
        "offset": 0,
        "scaling": "values 0 to 255 as uint8; the network scales them itself",
        "views": _views(card),
        "outputs": card.outputs,
        "unknown": _unknown(card),
    }


def _unknown(card: ModelCard) -> dict[str, float] | None:
    """Return the rule by which a picture is unknown: the score is below one limit, or the novelty above the other."""
    if card.unknown is None:
        return None
    distance = card.unknown.distance
    return {"score": card.unknown.score, "distance": 1.0 if distance is None else distance}


def _views(card: ModelCard) -> str:
    if card.views is None or card.views.served == 1:
        return "one"
    below = "" if card.views.served == 6 else f" if the best score is below {card.views.threshold}"
    return f"the network averages six{below}: mirrored, and shifted by a pixel"


def _readme(card: ModelCard, kind: ExportFormat, file: str) -> str:
    novelty = " Its second output is how unlike the training pictures a picture is, 0 to 1."
    return README.substitute(
        version=card.version,
        classifier=card.classifier,
        format=kind,
        file=file,
        labels=len(card.labels),
        packages=RUNTIMES[kind].packages,
        width=card.input.width,
        height=card.input.height,
        outputs=novelty if card.unknown and card.unknown.distance is not None else "",
    )
