"""What the JSON files in an exported archive state about the network: Lobe's, Custom Vision's, and Darkroom's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing, Resize
from worker.importing.files.onnx_file import FORMATS, RANGES
from worker.importing.files.unpacked import check_names, stated
from worker.importing.input_range import InputRange

#: Lobe's file, and what it calls the output with the scores.
SIGNATURE, SCORES = "signature.json", ("Confidences", "Labels")
#: Custom Vision's file. Without a crop of its own, it says what the image metadata of ONNX says.
PROPERTIES, MEAN, DEVIATION = "metadata_properties.json", "NormalizeMean", "NormalizeStd"
#: The file in what Darkroom exports.
OWN, PREPARED = "preprocessing.json", ("scale", "offset", "channels", "resize")
#: The files that are read.
READ = {SIGNATURE, PROPERTIES, OWN}


@dataclass(frozen=True)
class Statements:
    """The labels, the preprocessing, and the name of the output with the scores, as far as they are stated.

    `resize` is how pictures get the size of the input.
    """

    labels: tuple[str, ...] | None = None
    stated: InputRange | None = None
    output: str | None = None
    resize: Resize = "squash"


def read_statements(files: Mapping[str, bytes]) -> Statements:
    """Return what the files in an archive state, by name. Raises InvalidRequest if one makes no sense."""
    if SIGNATURE in files:
        return _lobe(_object(SIGNATURE, files[SIGNATURE]))
    if PROPERTIES in files:
        return _custom_vision(_object(PROPERTIES, files[PROPERTIES]))
    return _own(_object(OWN, files[OWN])) if OWN in files else Statements()


def _object(name: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"{name} in the archive is not JSON") from error
    return found if isinstance(found, dict) else {}


def _lobe(signature: dict[str, Any]) -> Statements:
    names = _inner(signature, "classes").get("Label")
    if not isinstance(names, list) or "doc_id" not in signature:
        return Statements()
    outputs = _inner(signature, "outputs")
    output = next((_inner(outputs, each).get("name") for each in SCORES if each in outputs), None)
    return Statements(
        check_names(map(str, names), SIGNATURE),
        stated(PREPROCESSINGS["0-1"], "Lobe's way of exporting"),
        str(output) if output else None,
        "crop",  # the program in each export cuts a square from the middle
    )


def _own(described: dict[str, Any]) -> Statements:
    try:
        how = Preprocessing.model_validate({name: described[name] for name in PREPARED})
    except (KeyError, ValidationError):
        return Statements()
    values = how.model_copy(update={"resize": "squash"})
    return Statements(stated=stated(values, f"{OWN} in the archive"), resize=how.resize)


def _inner(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _custom_vision(properties: dict[str, Any]) -> Statements:
    name, order = RANGES.get(str(properties.get("Image.NominalPixelRange"))), _order(properties)
    if name is None or order is None or not _is_plain(properties):
        return Statements()
    how = PREPROCESSINGS[name]
    return Statements(
        stated=stated(Preprocessing(scale=how.scale, offset=how.offset, channels=order), f"{PROPERTIES} in the archive")
    )


def _order(properties: dict[str, Any]) -> Any:
    return FORMATS.get(str(properties.get("Image.BitmapPixelFormat")))


def _is_plain(properties: dict[str, Any]) -> bool:
    """Return whether nothing is subtracted from the values, and they are not divided."""
    mean, deviation = (str(properties.get(f"CustomVision.Preprocess.{each}", "")) for each in (MEAN, DEVIATION))
    return not set(mean) & set("123456789") and deviation.replace("1.0", "1") in ("", "[1, 1, 1]", "[1,1,1]", "null")
