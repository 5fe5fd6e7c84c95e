"""How a picture becomes the input of a network: one description, on the card, that everything reads.

`worker.data.decode` applies `resize`, `worker.serving.preprocess` the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat

Channels = Literal["RGB", "BGR"]
Resize = Literal["squash", "crop"]
ValueRange = Literal["0-255", "0-1", "-1..1", "imagenet", "imagenet-bgr"]


def _for_each_channel(value: Any) -> Any:
    """Return one number as three."""
    return (value,) * 3 if isinstance(value, (int, float)) and not isinstance(value, bool) else value


PerChannel = Annotated[tuple[FiniteFloat, FiniteFloat, FiniteFloat], BeforeValidator(_for_each_channel)]


class Preprocessing(BaseModel):
    """The input of the network is `value × scale + offset` for values from 0 to 255, in the order of `channels`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scale: PerChannel = Field(default=(1.0, 1.0, 1.0), description="for red, green and blue, whatever the order is")
    offset: PerChannel = Field(default=(0.0, 0.0, 0.0), description="for red, green and blue, added after scaling")
    channels: Channels = Field(default="RGB", description="order of the channels that the network takes")
    resize: Resize = Field(
        default="squash",
        description="squash: the whole picture to the input's size; crop: the largest part in its middle that has the "
        "input's proportions",
    )


def _standardized(mean: Sequence[float], deviation: Sequence[float]) -> Preprocessing:
    """Return (value / 255 − mean) / deviation."""
    scale = [1 / (255 * each) for each in deviation]
    offset = [-center / each for center, each in zip(mean, deviation, strict=True)]
    return Preprocessing(scale=(scale[0], scale[1], scale[2]), offset=(offset[0], offset[1], offset[2]))


#: The usual ones by name. The last two are the modes `torch` and `caffe` of `keras.applications.*.preprocess_input`:
#: the mean and standard deviation of ImageNet; and its mean, with blue first.
PREPROCESSINGS: dict[ValueRange, Preprocessing] = {
    "0-255": Preprocessing(),
    "0-1": Preprocessing(scale=(1 / 255,) * 3),
    "-1..1": Preprocessing(scale=(1 / 127.5,) * 3, offset=(-1.0,) * 3),
    "imagenet": _standardized((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "imagenet-bgr": Preprocessing(offset=(-123.68, -116.779, -103.939), channels="BGR"),
}

#: Signs that people write between the two ends of a range, and for minus.
_SPELLINGS = {"−": "-", "–": "-", "…": "..", " to ": "..", " ": ""}
_ALIASES = {"-1-1": "-1..1", "-1,1": "-1..1", "-1..+1": "-1..1", "0..1": "0-1", "0,1": "0-1"}
_ALIASES |= {"0..255": "0-255", "0,255": "0-255"}


def spelled(name: Any) -> Any:
    """Return the name of a range as in PREPROCESSINGS if it is only spelled in another way."""
    if not isinstance(name, str):
        return name
    for sign, replacement in _SPELLINGS.items():
        name = name.replace(sign, replacement)
    return _ALIASES.get(name, name)


def name_of(preprocessing: Preprocessing) -> str:
    """Return the name in PREPROCESSINGS of what it does to the values, or "custom"."""
    values = preprocessing.model_copy(update={"resize": "squash"})
    return next((name for name, each in PREPROCESSINGS.items() if each == values), "custom")


def describe(preprocessing: Preprocessing) -> str:
    """Return the name of a preprocessing as part of a sentence, or its numbers if it has no name."""
    words = {
        "0-255": "0 to 255",
        "0-1": "0 to 1",
        "-1..1": "−1 to 1",
        "imagenet": "standardized with ImageNet's mean and deviation",
        "imagenet-bgr": "blue first, less ImageNet's mean",
    }
    numbers = f"value × {list(preprocessing.scale)} + {list(preprocessing.offset)}, {preprocessing.channels}"
    red_first = words.get(name_of(preprocessing.model_copy(update={"channels": "RGB"})))
    return words.get(name_of(preprocessing)) or (f"{red_first}, blue first" if red_first else numbers)
