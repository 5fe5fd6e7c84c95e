"""Describe the parameters of a training to a client, and read them from a request or from a job's record."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from shared.domain import json_pointer
from shared.domain.errors import Fault, InvalidRequest
from shared.training.datasets import CIFAR10, WITH_CORRECTIONS
from shared.training.presets import COMMON, DEFAULT_PRESET, HEAD, PARAMS, VERSION_PATTERN, Params

#: Wrong parameters that one answer names, more than a preset has: 64 KiB of unknown names took 1 s.
MAX_FAULTS = 50
#: Characters of a wrong value, or of an unknown name, that an error repeats.
MAX_SHOWN = 60

Schema = dict[str, Any]


def parse(given: Mapping[str, Any]) -> Params:
    """Return the parameters of a training: the given ones, and defaults for the rest.

    Raise InvalidRequest with a Fault at `/params/<name>` for each value out of its range and each unknown name. If the
    preset is unknown, only the parameters in COMMON are checked. Whether `base` exists, only the registry knows.
    """
    given = {"preset": _default_preset(given), **given}
    model = PARAMS.get(given["preset"]) if isinstance(given["preset"], str) else None
    if model is None:
        model, given = PARAMS[DEFAULT_PRESET], {name: given[name] for name in ("preset", *COMMON) if name in given}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        names = [str(fault["loc"][0]) for fault in error.errors(include_url=False, include_context=False)]
        raise _refusal(model, given, names[:MAX_FAULTS]) from None


def _default_preset(given: Mapping[str, Any]) -> str:
    """Return the preset of a training that names none: `head` for a dataset of an owner."""
    return DEFAULT_PRESET if given.get("dataset", CIFAR10) in (CIFAR10, WITH_CORRECTIONS) else HEAD


@cache
def schemas(model: type[Params]) -> dict[str, Schema]:
    """Return the JSON Schema of each parameter by name: type, default, range and description; `unit` of a number."""
    properties: dict[str, Schema] = model.model_json_schema()["properties"]
    return {name: _without_title(each) for name, each in properties.items()}


def _without_title(schema: Schema) -> Schema:
    """Return the schema without its title, and with a list of one value for a constant."""
    values = {"enum": [schema["const"]]} if "const" in schema else {}
    return {key: schema[key] for key in schema if key not in ("title", "const")} | values


def _refusal(model: type[Params], given: Mapping[str, Any], names: list[str]) -> InvalidRequest:
    details = {name: _detail(model, name, given[name]) if name in given else "is needed" for name in names}
    faults = [Fault("/params/" + json_pointer.escape(name), detail) for name, detail in details.items()]
    return InvalidRequest("; ".join(f"{_cut(name)} {detail}" for name, detail in details.items()) + ".", faults)


def _detail(model: type[Params], name: str, value: object) -> str:
    known = schemas(model)
    if name in known:
        return f"should be {allowed(known[name])}, not {_cut(json.dumps(value, default=str))}"
    near = difflib.get_close_matches(name[:MAX_SHOWN], known, n=1)
    preset = known["preset"]["default"]
    return f"is not a parameter of preset {preset}" + (f" (did you mean {near[0]}?)" if near else "")


def allowed(schema: Schema) -> str:
    """Return in words which values a parameter may have."""
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if "minimum" in schema:
        kind = "a whole number" if schema["type"] == "integer" else "a number"
        return f"{kind} from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "string" and schema["pattern"] == VERSION_PATTERN:
        return "a name of the characters a-z 0-9 _ -"
    if schema["type"] == "string":
        return f"{CIFAR10}, {WITH_CORRECTIONS}, or the name of a dataset: 1 to 64 of a-z 0-9 -"
    return "true or false" if schema["type"] == "boolean" else "a name of the characters a-z 0-9 _ -, or null"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
