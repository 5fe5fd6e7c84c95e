"""`/v1/presets`: what can be trained, with which parameters, and how long it takes."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, cast

from flask import Blueprint, Response, jsonify, request
from pydantic import Field
from typing_extensions import TypedDict

from shared.training.params import schemas
from shared.training.presets import COMMON, DEFAULT_PRESET, PARAMS
from shared.training.speeds import Speed
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.state import services

blueprint = Blueprint("presets", __name__, url_prefix="/v1/presets")


class Parameter(TypedDict):
    """A parameter of a training: its default and its allowed values, in terms of JSON Schema."""

    default: Any
    type: str | list[str]
    description: str
    minimum: NotRequired[float]
    maximum: NotRequired[float]
    unit: NotRequired[str | None]
    enum: NotRequired[list[str]]
    pattern: NotRequired[str]


class Cost(TypedDict):
    """What a training with the preset's defaults takes, by the speed of its last training: null before the first.

    The times are those for CIFAR-10, and null for presets that need a dataset of an owner. Before the first training of
    `finetune`, its speed is estimated from that of `head`.
    """

    parameters: Annotated[
        int | None, Field(description="weights and biases of the network; null if that depends on the dataset")
    ]
    images_per_s: float | None
    seconds_per_epoch: float | None
    seconds: float | None
    host: Annotated[str | None, Field(description="the machine that the last training ran on")]


class Preset(TypedDict):
    """One preset."""

    name: str
    summary: str
    parameters: dict[str, Parameter]
    cost: Cost


class PresetList(TypedDict):
    """The presets, and the parameters that they have in common."""

    data: list[Preset]
    common: dict[str, Parameter]


@blueprint.get("")
@allow(ANY_KEY)
@operation({200: Answer(PresetList, ["ETag"]), 304: Answer(headers=["ETag"])}, headers=["If-None-Match"])
def index() -> Response:
    """List the presets, and the parameters that they have in common."""
    speeds = services().speeds.all()
    presets = [preset_view(name, speeds.get(name)) for name in PARAMS]
    response = jsonify({"data": presets, "common": parameters_view(DEFAULT_PRESET, common=True)})
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def preset_view(name: str, speed: Speed | None) -> Preset:
    """Return a preset as the API represents it."""
    return {
        "name": name,
        "summary": PARAMS[name].summary,
        "parameters": parameters_view(name, common=False),
        "cost": cost_view(name, speed),
    }


def cost_view(name: str, speed: Speed | None) -> Cost:
    """Return what a training with the preset's defaults costs; `speed` is that of its last one."""
    schema = schemas(PARAMS[name])
    epochs = schema.get("epochs", {}).get("default", 1)
    per_epoch = speed.seconds_per_epoch if speed and "default" in schema["dataset"] else None
    return {
        "parameters": PARAMS[name].weights,
        "images_per_s": speed.images_per_s if speed else None,
        "seconds_per_epoch": None if per_epoch is None else round(per_epoch, 1),
        "seconds": None if per_epoch is None else round(epochs * per_epoch, 1),
        "host": speed.host if speed else None,
    }


def parameters_view(name: str, *, common: bool) -> dict[str, Parameter]:
    """Return the preset's own parameters by name, or those that all presets have in common."""
    schema = schemas(PARAMS[name])
    return {each: cast(Parameter, schema[each]) for each in schema if each != "preset" and (each in COMMON) == common}
