"""The presets that a model can be trained with, by name. Importing this does not load TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.domain.errors import InvalidRequest
from shared.training.preset_catalog import COMMON, resolve
from worker.presets.base import Params, Preset, Setup
from worker.presets.classic import CLASSIC
from worker.presets.fast import FAST
from worker.presets.seed import SEED
from worker.presets.wide import WIDE

__all__ = ["PRESETS", "Params", "Preset", "Setup", "from_params", "get"]

PRESETS: dict[str, Preset[Any]] = {preset.name: preset for preset in (SEED, CLASSIC, FAST, WIDE)}


def get(name: str) -> Preset[Any]:
    """Return the preset of that name; InvalidRequest, which names the known ones, where there is none."""
    try:
        return PRESETS[name]
    except KeyError as error:
        raise InvalidRequest(f"There is no preset {name!r}; the presets are {', '.join(sorted(PRESETS))}.") from error


def from_params(params: Mapping[str, object]) -> tuple[Preset[Any], Params, int]:
    """Return what a training job's `params` ask for: the preset, its hyperparameters and the seed.

    Whoever announced the presets that the job was checked against may have run another version of this code, so all of
    it is checked again. Raises InvalidRequest, as `shared.training.preset_catalog.resolve`.
    """
    resolved = resolve({name: preset.parameters() for name, preset in PRESETS.items()}, params)
    preset = PRESETS[resolved.pop("preset")]
    return preset, *preset.plan({name: value for name, value in resolved.items() if name not in COMMON})
