"""The speed of each preset's last training."""

from __future__ import annotations

import pytest

from shared.training.speeds import Speed, TrainingSpeeds


def test_the_last_training_counts(each_redis) -> None:
    speeds = TrainingSpeeds(each_redis)
    assert speeds.all() == {}
    speeds.record("fast", Speed(100.0, "there"))
    speeds.record("fast", Speed(150.0, "elsewhere"))
    assert TrainingSpeeds(each_redis).all() == {"fast": Speed(150.0, "elsewhere")}
    assert speeds.all()["fast"].seconds_per_epoch == 320


@pytest.mark.parametrize("images_per_s", [0.0, -1.0])
def test_a_speed_that_is_not_positive_is_ignored(each_redis, images_per_s: float) -> None:
    TrainingSpeeds(each_redis).record("fast", Speed(images_per_s, "here"))
    assert TrainingSpeeds(each_redis).all() == {}
