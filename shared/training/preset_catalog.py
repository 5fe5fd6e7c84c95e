"""The catalogue: what the workers can train, with which parameters, and what it costs.

Presets are code of the workers, which the web process does not load. So workers announce them in Redis.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from shared.domain.errors import Unavailable
from shared.redis import keys
from shared.redis.connection import Client, redis_errors
from shared.training.datasets import CIFAR10, WITH_CORRECTIONS
from shared.training.param_schema import Choice, Name, Parameter, Parameters, faults, filled, refuse

#: What is trained where a job does not say.
DEFAULT_PRESET = "fast"
#: Training images of CIFAR-10, without those that are held out for validation.
TRAIN_IMAGES = 48_000
#: The form of the announcement. One of another form, left by another version of the code, counts as none.
SCHEMA = 1

#: The parameters that every training job has beside those of its preset.
COMMON: Parameters = {
    "dataset": Parameter(
        CIFAR10,
        Choice(
            "the images to train on: CIFAR-10, or those and the pictures that the training's owner has corrected",
            (CIFAR10, WITH_CORRECTIONS),
        ),
    ),
    "promote": Parameter(
        "never",
        Choice(
            "whether the new version becomes the champion: if_better asks for a difference beyond chance on the test "
            "images, and for no label that is recognised much worse",
            ("never", "if_better", "always"),
        ),
    ),
    "base": Parameter(None, Name("the version of the same preset and size whose weights to begin with")),
}


@dataclass(frozen=True)
class Cost:
    """What training a preset with its defaults takes.

    `parameters` are weights and biases, `flops_per_image` the floating-point operations of one image's forward pass.
    `images_per_s` is the speed on `host`: that of the preset's last training, or else estimated.
    """

    parameters: int
    flops_per_image: int
    images_per_s: float
    host: str
    basis: Literal["measured", "estimated"] = "estimated"

    @property
    def seconds_per_epoch(self) -> float:
        """The time of one pass over the training images, without the validation after it."""
        return TRAIN_IMAGES / self.images_per_s


@dataclass(frozen=True)
class PresetInfo:
    """A preset as it is announced. `parameters` has `epochs` and `seed` among others."""

    name: str
    summary: str
    parameters: Parameters
    cost: Cost

    def as_dict(self) -> dict[str, Any]:
        """Return what is announced, ready for JSON."""
        parameters = {name: parameter.as_dict() for name, parameter in self.parameters.items()}
        return {**vars(self), "parameters": parameters, "cost": asdict(self.cost)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> PresetInfo:
        """Return the preset that `as_dict` has described."""
        parameters = {name: Parameter.from_dict(each) for name, each in record["parameters"].items()}
        return cls(record["name"], record["summary"], parameters, Cost(**record["cost"]))


class Catalogue:
    """The announced presets. Every method raises Unavailable where Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def announce(self, presets: Sequence[PresetInfo]) -> None:
        """Replace what was announced before."""
        self._redis.set(keys.PRESETS, json.dumps({"schema": SCHEMA, "presets": [each.as_dict() for each in presets]}))

    @redis_errors()
    def measured(self, preset: str, host: str, images_per_s: float) -> None:
        """A training of the preset, with its defaults, has just run so fast on `host`. What is no speed is ignored."""
        if math.isfinite(images_per_s) and images_per_s > 0:
            self._redis.hset(keys.SPEEDS, preset, json.dumps({"host": host, "images_per_s": images_per_s}))

    @redis_errors()
    def announced(self) -> bool:
        """Whether there are presets to list."""
        return self._read() is not None

    @redis_errors()
    def presets(self) -> list[PresetInfo]:
        """The presets, each with its measured speed where it has one. Raises Unavailable where none was announced."""
        records = self._read()
        if records is None:
            raise Unavailable("no training worker has said yet what it can train")
        speeds = self._redis.hgetall(keys.SPEEDS)
        return [with_speed(PresetInfo.from_dict(record), speeds.get(record["name"])) for record in records]

    def resolve(self, given: Mapping[str, object]) -> dict[str, Any]:
        """The parameters of a training job, see `resolve`. Raises Unavailable and InvalidRequest."""
        return resolve({each.name: each.parameters for each in self.presets()}, given)

    def _read(self) -> list[dict[str, Any]] | None:
        record = json.loads(self._redis.get(keys.PRESETS) or "{}")
        return record["presets"] if record.get("schema") == SCHEMA else None


def with_speed(preset: PresetInfo, measured: str | None) -> PresetInfo:
    """The preset with the measured speed, JSON of `host` and `images_per_s`, in place of the estimate."""
    if measured is None:
        return preset
    return replace(preset, cost=replace(preset.cost, basis="measured", **json.loads(measured)))


def resolve(presets: Mapping[str, Parameters], given: Mapping[str, object]) -> dict[str, Any]:
    """Every parameter of a training job: those that are given, and defaults for the rest; `presets` are all there are.

    Raises InvalidRequest with a Fault for each value out of its range and each name that is no parameter, at
    `/params/<name>`. Where the preset is wrong, only what does not depend on it is checked. Whether `base` is there,
    only the registry knows.
    """
    common = {"preset": Parameter(DEFAULT_PRESET, Choice("what to train", tuple(presets))), **COMMON}
    chosen = {"preset": DEFAULT_PRESET} | {name: value for name, value in given.items() if name in common}
    others = {name: value for name, value in given.items() if name not in common}
    found = faults(common, chosen, "a training")
    own = presets.get(str(chosen["preset"]), {})
    if own:
        found += faults(own, others, f"preset {chosen['preset']}")
    refuse(found, "/params/")
    return filled(common, chosen) | filled(own, others)
