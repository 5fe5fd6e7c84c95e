"""A small dataset that a network learns in a few steps, and the fixtures of `kit.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.worker.kit import redis_client, redis_url, services, threads
from worker.data.datasets import CIFAR10_SETTING, Dataset, load_cifar10
from worker.evaluation import evaluate

__all__ = ["redis_client", "redis_url", "services", "squares", "squares_file", "threads"]


@pytest.fixture(scope="session")
def squares_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save noisy images in CIFAR-10's format; the place of a bright square tells the class."""
    path = tmp_path_factory.mktemp("data") / "images.npz"
    generator = np.random.default_rng(5)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 400), ("test", 100)):
        truth = np.tile(np.arange(10, dtype=np.uint8), count // 10)
        images = generator.integers(0, 100, (count, 32, 32, 3), dtype=np.uint8)
        for image, label in zip(images, truth, strict=True):
            row, column = 16 * (label // 5), 6 * (label % 5)
            image[row : row + 16, column : column + 6] = 250
        arrays |= {f"x_{part}": images, f"y_{part}": truth}
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def squares(squares_file: Path) -> Dataset:
    """Return 380 training, 20 validation and 100 test images of squares."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CIFAR10_SETTING, str(squares_file))
        return load_cifar10()


@pytest.fixture(scope="module")
def few_passes() -> Iterator[None]:
    """Measure latencies in few passes. `test_evaluate.py` tests the measurement."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "WARM_UP", 1)
        patch.setattr(evaluate.latency, "__defaults__", (2,))
        yield
