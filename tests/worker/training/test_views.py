"""The Head that a fine-tuning starts from learns from views of each picture, if that helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.training.presets import FinetuneParams
from tests.worker.training.test_finetune import published
from worker.data.datasets import Dataset
from worker.heads.fit import FittedHead, fit_head
from worker.serving.backbone import Backbone
from worker.training.views import best_begin, embed, loss

PARAMS = FinetuneParams(dataset="things", views=3)
pytestmark = pytest.mark.usefixtures("few_passes")


def stripes(count: int, seed: int) -> NDArray[np.uint8]:
    """Return images (2 · count, 32, 32, 3) of stripes that stand, then lie, in any place and light, with noise."""
    generator = np.random.default_rng(seed)
    waves = np.sin(np.arange(32)[None] / 2 + generator.uniform(0, 6.3, (2 * count, 1)))[:, None]
    waves = np.repeat(waves, 32, axis=1)
    waves[count:] = waves[count:].transpose(0, 2, 1)
    light = generator.uniform(20, 90, (2 * count, 1, 1)), generator.normal(0, 25, (2 * count, 32, 32))
    return np.repeat((127 + waves * light[0] + light[1])[..., None], 3, axis=3).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder: Path = tmp_path_factory.mktemp("models")
    return published(folder)


@pytest.fixture(scope="module")
def striped(squares: Dataset) -> Dataset:
    """Return six pictures to learn from, and others of the same two classes."""
    parts: dict[str, Any] = {}
    for seed, (part, count) in enumerate((("train", 3), ("val", 60), ("test", 60))):
        parts |= {f"x_{part}": stripes(count, seed), f"y_{part}": np.repeat([0, 1], count)}
    return replace(squares, labels=("stand", "lie"), **parts)


def fitted(backbone: Backbone, images: Dataset) -> FittedHead:
    return fit_head(backbone.embed(images.x_train), images.y_train.astype(np.int64), len(images.labels))


def test_views_are_learnt_from_if_they_help(backbone: Backbone, striped: Dataset) -> None:
    """Given few pictures, Then classifier and Head are better with views, and the same each time."""
    before, held = fitted(backbone, striped), embed(backbone, striped.x_val)
    plain = best_begin(backbone, before, striped, PARAMS.model_copy(update={"views": 0}))
    begin, again = (best_begin(backbone, before, striped, PARAMS) for _ in range(2))
    assert (plain.views, plain.fitted, begin.views) == (0, before, 3)
    assert loss(begin.linear, held, striped.y_val) < loss(plain.linear, held, striped.y_val)
    np.testing.assert_array_equal(begin.linear.weights, again.linear.weights)
    head, new = begin.fitted.head, embed(backbone, striped.x_test)
    answers = head.probabilities(new)
    assert np.mean(answers.argmax(axis=1) == striped.y_test) > 0.9
    pairs = zip(answers.max(axis=1).tolist(), head.novelty(new).tolist(), strict=True)
    assert np.mean([begin.fitted.unknown.covers(*pair) for pair in pairs]) < 0.2


@pytest.mark.parametrize("augment", [True, False])
def test_views_that_do_not_help_are_not_kept(augment: bool, backbone: Backbone, squares: Dataset) -> None:
    """Given classes that are places, which no crop keeps, Then the Head is as it was."""
    before = fitted(backbone, squares)
    begin = best_begin(backbone, before, squares, PARAMS.model_copy(update={"augment": augment}))
    assert (begin.views, begin.fitted) == (0, before)
