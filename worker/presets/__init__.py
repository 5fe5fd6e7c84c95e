"""The presets that start from nothing, by name. Importing this does not load TensorFlow."""

from __future__ import annotations

from typing import Any

from worker.presets.base import Preset, Setup, Start
from worker.presets.classic import CLASSIC
from worker.presets.fast import DISTIL, FAST, WIDE
from worker.presets.seed import SEED

__all__ = ["PRESETS", "Preset", "Setup", "Start"]

PRESETS: dict[str, Preset[Any]] = {preset.name: preset for preset in (SEED, CLASSIC, FAST, WIDE, DISTIL)}
