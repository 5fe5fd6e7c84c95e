"""The worker's forward pass against the same network as a plain `tf.function`, each in a separate process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.processes import rounds
from bench.table import Figures, Goal, Row, ratio
from shared.models.registry import SHIPPED, Registry


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Compare speed and predictions, with one view of each image."""
    version = SHIPPED / Registry().champion().version
    module = "bench.references.forward"
    with rounds(module, "openvino", version) as ours, rounds(module, "keras", version) as theirs:
        mine, other = (np.array(arm.run("answers")) for arm in (ours, theirs))
        speeds = [[(ours.run(what), theirs.run(what)) for what in ("bulk", "one")] for _ in range(repeats)]
    for place, (what, goal) in enumerate((("in batches", 1.8), ("one image at a time", 3))):
        mine_s, other_s = (Figures([each[place][arm] for each in speeds], "images/s") for arm in (0, 1))
        yield ratio(f"forward pass, {what}", mine_s, "tf.function", other_s, Goal(goal))
    same = float(np.mean(mine.argmax(axis=1) == other.argmax(axis=1))) * 100
    yield Row("same classes", Figures([same], "%"), "tf.function", goal=Goal(100))
    difference = float(abs(mine - other).max())
    yield Row("scores, maximum difference", Figures([difference], ""), goal=Goal(0.01, at_least=False))
