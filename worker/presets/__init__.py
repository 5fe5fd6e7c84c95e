"""The presets that a model can be trained with, by name. Importing this does not load TensorFlow."""

from __future__ import annotations

from typing import Any

from shared.errors import InvalidRequest
from worker.presets.base import Params, Preset, Setup
from worker.presets.classic import CLASSIC
from worker.presets.fast import FAST
from worker.presets.seed import SEED
from worker.presets.wide import WIDE

__all__ = ["PRESETS", "Params", "Preset", "Setup", "get"]

PRESETS: dict[str, Preset[Any]] = {preset.name: preset for preset in (SEED, CLASSIC, FAST, WIDE)}


def get(name: str) -> Preset[Any]:
    """Return the preset of that name; InvalidRequest, which names the known ones, where there is none."""
    try:
        return PRESETS[name]
    except KeyError as error:
        raise InvalidRequest(f"There is no preset {name!r}; the presets are {', '.join(sorted(PRESETS))}.") from error
