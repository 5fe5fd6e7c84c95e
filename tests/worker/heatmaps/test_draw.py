"""A map as a picture: bright where the evidence is, half transparent, as large as asked for."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from worker.heatmaps.draw import OPACITY, draw


def drawn(evidence: list[list[float]], size: tuple[int, int] = (60, 40)) -> Image.Image:
    return Image.open(io.BytesIO(draw(np.array(evidence, np.float32), size)))


def test_brighter_is_more() -> None:
    image = drawn([[-3, 0, 1], [-3, -2, 9]])
    assert (image.format, image.size) == ("PNG", (60, 40))
    levels, seen = np.asarray(image), np.asarray(image.convert("RGBA"))
    assert (levels.min(), levels.max()) == (0, 255)
    assert (seen[..., 3] == OPACITY).all()
    brightness = seen[..., :3].astype(int).sum(axis=2)
    assert np.argmax(brightness[30]) > 40 and brightness[30, 50] > brightness[10, 50] > brightness[10, 10]


def test_what_the_network_did_not_see_is_transparent() -> None:
    image = Image.open(io.BytesIO(draw(np.array([[0.0, 1.0]], np.float32), (60, 40), (10.2, 0, 49.8, 40))))
    opacity = np.asarray(image.convert("RGBA"))[..., 3]
    assert image.size == (60, 40)
    assert (opacity[:, 10:50] == OPACITY).all() and not opacity[:, :10].any() and not opacity[:, 50:].any()


def test_a_map_without_differences_shows_none() -> None:
    assert (np.asarray(drawn([[7.0, 7.0], [7.0, 7.000001]])) == 0).all()


def test_one_pixel() -> None:
    assert drawn([[0.0, 1.0]], (1, 1)).size == (1, 1)
