"""`/v1/presets`: what can be trained, with which parameters, and what it costs."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from shared.catalogue import COMMON, PresetInfo
from shared.fields import Parameters
from web.api.requests import Query, query, services

blueprint = Blueprint("presets", __name__, url_prefix="/v1/presets")


@blueprint.get("")
def index() -> Response:
    """Every preset, and the parameters that all trainings have beside those of their preset."""
    query(Query, request)
    presets = [preset_view(preset) for preset in services().catalogue.presets()]
    response = jsonify({"data": presets, "common": parameters_view(COMMON)})
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


def preset_view(preset: PresetInfo) -> dict[str, Any]:
    """A preset as the API gives it."""
    return {
        "name": preset.name,
        "summary": preset.summary,
        "parameters": parameters_view(preset.parameters),
        "cost": cost_view(preset),
    }


def cost_view(preset: PresetInfo) -> dict[str, Any]:
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


def parameters_view(parameters: Parameters) -> dict[str, dict[str, Any]]:
    """The parameters by name, each with its default, type, range, unit and meaning."""
    return {name: parameter.as_dict() for name, parameter in parameters.items()}
