"""Maps of evidence: exact where the network ends in pooling and one layer, else by hiding parts of the picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.models.registry import Registry
from worker.serving.backbone import Backbone, Backbones, find_backbone
from worker.serving.locate import CELLS, by_occlusion, log_odds

#: The part of a picture that the networks below look at.
CORNER = slice(0, 8), slice(24, 32)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    registry = Registry()
    return Backbones(registry, 1).get(find_backbone(registry).version)


def bright_corner(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities of dark and bright by one corner of the images."""
    bright = images[:, *CORNER].mean(axis=(1, 2, 3)) / 300
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 100, shape, dtype=np.uint8)


@pytest.mark.parametrize(("label", "sign"), [(1, 1), (0, -1)])
def test_hiding_what_the_network_looks_at_takes_evidence_away(label: int, sign: int) -> None:
    picture = noise(32, 32, 3)
    picture[*CORNER] = 250
    evidence = sign * by_occlusion(bright_corner)(picture, label)
    assert evidence.shape == (CELLS, CELLS)
    assert np.unravel_index(evidence.argmax(), evidence.shape) == (0, CELLS - 1)
    assert np.abs(evidence[3:, :3]).max() < 1e-6 < evidence[1, 4]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 60)])
def test_a_picture_with_fewer_pixels_than_cells(size: tuple[int, int]) -> None:
    evidence = by_occlusion(lambda images: np.full((len(images), 2), 0.5, np.float32))(noise(*size, 3), 0)
    assert (evidence == 0).all()


def test_log_odds_of_a_probability_that_rounds_to_one() -> None:
    odds = log_odds(np.array([[1, 1e-9, 1e-10], [1, 1e-10, 1e-10], [0, 1, 0]], np.float32), 0)
    assert np.isfinite(odds).all()
    assert 0 < odds[0] < odds[1]
    assert odds[2] < -50


def test_independent_labels_do_not_compete() -> None:
    certain = np.array([[0.9, 0.9], [0.9, 0.1]], np.float32)
    alone = log_odds(certain, 0, independent=True)
    assert alone[0] == alone[1] == pytest.approx(np.log(9), abs=1e-5)
    assert np.diff(log_odds(certain, 0))[0] > 1


def test_the_exact_map_adds_up_to_the_answer(backbone: Backbone) -> None:
    """Given two pictures, Then the logits differ by as much as the means of the maps: both have the same bias."""
    locate = backbone.network.locating()
    assert locate is not None
    pictures = np.stack([noise(224, 224, 3), 255 - noise(224, 224, 3)[::-1]])
    logits = np.log(backbone.network.classify(pictures))
    logits -= logits.mean(axis=1, keepdims=True)
    for label in (0, 500, 999):
        first, second = (locate(picture, label) for picture in pictures)
        assert first.shape == (7, 7)
        assert float(first.mean() - second.mean()) == pytest.approx(logits[0, label] - logits[1, label], abs=1e-3)


def test_the_exact_map_of_another_last_layer(backbone: Backbone) -> None:
    """Given a Head's weights, Then its logits without their bias are the means of the maps."""
    weights = np.random.default_rng(1).normal(size=(backbone.dimensions, 4)).astype(np.float32)
    locate, picture = backbone.network.locating(weights), noise(224, 224, 3)
    assert locate is not None
    logits = (backbone.embed(picture[None]).astype(np.float32) @ weights)[0]
    maps = [locate(picture, label).mean() for label in range(4)]
    np.testing.assert_allclose(maps, logits - logits.mean(), atol=0.02)
