"""How fast each preset was last trained, in Redis: what the expected time of a training follows from."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from shared.redis import keys
from shared.redis.connection import Client, redis_errors

#: Training images of CIFAR-10, without those that are held out for validation.
TRAIN_IMAGES = 48_000


@dataclass(frozen=True)
class Speed:
    """The speed of a training, and the machine that it ran on."""

    images_per_s: float
    host: str

    @property
    def seconds_per_epoch(self) -> float:
        """The time of one pass over the training images, without the validation after it."""
        return TRAIN_IMAGES / self.images_per_s


class TrainingSpeeds:
    """The speed of each preset's last training. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def record(self, preset: str, speed: Speed) -> None:
        """Replace the speed of the preset. Ignore one that is not positive: it was too slow to measure."""
        if speed.images_per_s > 0:
            self._redis.hset(keys.SPEEDS, preset, json.dumps(asdict(speed)))

    @redis_errors()
    def all(self) -> dict[str, Speed]:
        """Return the speeds by preset, of those that have been trained."""
        return {preset: Speed(**json.loads(record)) for preset, record in self._redis.hgetall(keys.SPEEDS).items()}
