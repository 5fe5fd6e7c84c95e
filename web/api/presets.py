"""`/v1/presets`: what can be trained, with which parameters, and what it costs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, cast

from flask import Blueprint, Response, jsonify, request
from pydantic import Field
from typing_extensions import TypedDict

from shared.training.param_schema import Parameters
from shared.training.preset_catalog import COMMON, PresetInfo
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import Answer, operation
from web.state import services

blueprint = Blueprint("presets", __name__, url_prefix="/v1/presets")


class Parameter(TypedDict):
    """What a parameter of a training is where nobody says otherwise, and what it may be, in words of JSON Schema."""

    default: Any
    type: str | list[str]
    description: str
    minimum: NotRequired[float]
    maximum: NotRequired[float]
    unit: NotRequired[str | None]
    enum: NotRequired[list[str]]
    pattern: NotRequired[str]


class Cost(TypedDict):
    """What a training with the preset's defaults takes."""

    parameters: Annotated[int, Field(description="weights and biases")]
    flops_per_image: Annotated[int, Field(description="of one image's forward pass")]
    images_per_s: float
    seconds_per_epoch: float
    seconds: float
    basis: Literal["measured", "estimated"]
    host: Annotated[str, Field(description="the machine that the speed is of")]


class Preset(TypedDict):
    """One preset."""

    name: str
    summary: str
    parameters: dict[str, Parameter]
    cost: Cost


class PresetList(TypedDict):
    """Every preset, and the parameters that all trainings have."""

    data: list[Preset]
    common: dict[str, Parameter]


@blueprint.get("")
@allow(ANY_KEY)
@operation({200: Answer(PresetList, ["ETag"]), 304: Answer(headers=["ETag"])}, headers=["If-None-Match"])
def index() -> Response:
    """Every preset, and the parameters that all trainings have beside those of their preset."""
    presets = [preset_view(preset) for preset in services().catalogue.presets()]
    response = jsonify({"data": presets, "common": parameters_view(COMMON)})
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def preset_view(preset: PresetInfo) -> Preset:
    """A preset as the API gives it."""
    return {
        "name": preset.name,
        "summary": preset.summary,
        "parameters": parameters_view(preset.parameters),
        "cost": cost_view(preset),
    }


def cost_view(preset: PresetInfo) -> Cost:
    """What a training with the preset's defaults takes."""
    cost, epochs = preset.cost, preset.parameters["epochs"].default
    return {
        "parameters": cost.parameters,
        "flops_per_image": cost.flops_per_image,
        "images_per_s": cost.images_per_s,
        "seconds_per_epoch": round(cost.seconds_per_epoch, 1),
        "seconds": round(epochs * cost.seconds_per_epoch, 1),
        "basis": cost.basis,
        "host": cost.host,
    }


def parameters_view(parameters: Parameters) -> dict[str, Parameter]:
    """The parameters by name, each with its default, type, range, unit and meaning."""
    return {name: cast(Parameter, parameter.as_dict()) for name, parameter in parameters.items()}
