"""The champion against the other versions that ship with its Labels, as served: with further views, and calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from bench import limit
from bench.table import Figures, Goal, Row, ratio
from shared.models.registry import SHIPPED, Registry
from worker.data.datasets import load_cifar10
from worker.evaluation.evaluate import accuracy_on
from worker.serving.models import LoadedModel, ModelCache

#: Test images in a round.
IMAGES = 4096

images = cache(lambda: load_cifar10().x_test)


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Compare the speed of a process for each core on the same test images, and give the accuracy on all 10,000."""
    registry = Registry()
    champion = registry.champion()
    for other in sorted(folder.name for folder in SHIPPED.iterdir()):
        if other == champion.version or registry.card(other).belongs_to != champion.belongs_to:
            continue
        both = champion.version, other
        speeds = [
            [limit.pictures_per_s(partial(classify, each), range(IMAGES)) for each in both] for _ in range(repeats)
        ]
        ours, theirs = (Figures(arm, "images/s") for arm in zip(*speeds, strict=True))
        yield ratio(f"{champion.version}, as served", ours, other, theirs, Goal(3))
        right, before = map(accuracy, both)
        yield Row("its accuracy, as served", Figures([right], "%"), f"{before:.2f} % {other}", goal=Goal(94.3))


def classify(version: str, numbers: Sequence[int]) -> None:
    """Classify test images in one thread."""
    model(version).forward(images()[numbers[0] : numbers[-1] + 1])


@cache
def model(version: str) -> LoadedModel:
    """Return a shipped version as a worker loads it."""
    return ModelCache(Registry(), 1).get(version)


def accuracy(version: str) -> float:
    """Return the percentage of the test images that are classified correctly."""
    return 100 * (accuracy_on(model(version).forward, images(), load_cifar10().y_test) or 0)
