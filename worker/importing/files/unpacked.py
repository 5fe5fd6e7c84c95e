"""A model file that was taken out of an upload, and what the upload states about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from shared.domain.errors import InvalidRequest
from shared.domain.preprocessing import Preprocessing, Resize, describe
from shared.models.import_queue import Labels
from worker.importing.input_range import InputRange

#: Formats of networks; `graph` is a frozen graph of TensorFlow.
Format = Literal["keras", "h5", "onnx", "tflite", "savedmodel", "graph", "openvino"]


@dataclass(frozen=True)
class Unpacked:
    """A network's file, or its folder, and what the file or the archive around it states.

    `output` is the name of the output with the scores, `resize` how pictures get the size of the input.
    """

    file: Path
    format: Format
    labels: tuple[str, ...] | None = None
    stated: InputRange | None = None
    output: str | None = None
    resize: Resize = "squash"


def stated(how: Preprocessing, by: str) -> InputRange:
    """Return a preprocessing that is stated in a place of the upload, such as "the metadata"."""
    return InputRange(how, "stated", f"Pixel values: {describe(how)}, as {by} says.")


def linear(mean: Iterable[float], deviation: Iterable[float], by: str) -> InputRange:
    """Return (value − mean) / deviation for values from 0 to 255; both have one number or three.

    Raises InvalidRequest.
    """
    means, deviations = list(mean), list(deviation)
    try:
        scale = [1 / each for each in deviations]
        offset = [-center / each for center, each in zip(means, deviations, strict=True)]
        numbers: dict[str, Any] = {"scale": scale * (3 // len(scale)), "offset": offset * (3 // len(offset))}
        return stated(Preprocessing.model_validate(numbers), by)
    except (ValueError, ZeroDivisionError) as error:
        raise InvalidRequest(f"{by} has a mean or a deviation that makes no sense: {means}, {deviations}") from error


def check_names(names: Iterable[str], place: str) -> tuple[str, ...]:
    """Return the labels that are listed in a place of the upload. Raises InvalidRequest."""
    try:
        return TypeAdapter(Labels).validate_python(tuple(names))
    except ValidationError as error:
        raise InvalidRequest(f"{place}: {error.errors()[0]['msg']}") from error
