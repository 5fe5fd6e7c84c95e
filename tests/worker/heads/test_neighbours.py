"""Neighbours by Embedding: the nearest first, without near copies, and a sample of many."""

from __future__ import annotations

import numpy as np
import pytest

from shared.datasets.neighbours import COUNT
from worker.heads import neighbours as module
from worker.heads.neighbours import Pictures, neighbours


def on_a_circle(degrees: list[float], groups: list[int] | None = None, first: int = 1) -> Pictures:
    """Return pictures whose Embeddings are at these angles."""
    angles, numbers = np.radians(degrees), np.arange(first, first + len(degrees))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1) * 3
    return Pictures(numbers, numbers if groups is None else np.array(groups), vectors.astype(np.float16))


def test_the_nearest_are_first_and_near_copies_are_left_out() -> None:
    labelled = on_a_circle([0, 1, 3, 90], groups=[1, 1, 3, 4])
    assert neighbours(labelled, labelled).tolist() == [
        [3, 4, 0, 0, 0],
        [3, 4, 0, 0, 0],
        [2, 1, 4, 0, 0],
        [3, 2, 1, 0, 0],
    ]
    waiting = on_a_circle([80], first=6)
    rows = neighbours(waiting, labelled).tolist()
    assert rows == [[0] * COUNT] * 5 + [[4, 3, 2, 1, 0]]


def test_of_many_pictures_a_sample_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SEARCHED", 5)
    labelled = on_a_circle([angle * 1.1**angle for angle in range(9)])
    assert neighbours(labelled, labelled)[3].tolist() == [3, 5, 1, 7, 9]
