"""One decoding gives the network's input, a thumbnail and perceptual hashes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.Image import Transpose

from shared.domain.card import Input
from shared.domain.errors import ItemError
from shared.images.pixels import THUMBNAIL_SIDE
from worker.data.decode import decode
from worker.data.examine import Examined, examine
from worker.data.perceptual_hash import distance

SHAPE = Input(height=224, width=224, channels=3)
MAX_PIXELS = 10_000_000


def scene(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Return a picture of discs on a gradient."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(rng.integers(0, 128, 3), rng.integers(128, 256, 3), size[0])
    image = Image.fromarray(np.broadcast_to(ramp, (size[1], size[0], 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(9):
        x, y, radius = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(0.05, 0.3) * size[1]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def examined(image: Image.Image, kind: str = "JPEG", **options: object) -> Examined:
    return examine(encoded(image, kind, **options), SHAPE, MAX_PIXELS)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[274] = orientation
    return tags.tobytes()


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (scene(1), {}),
        (scene(1, (3000, 2000)), {}),
        (scene(1, (90, 30)), {}),
        (scene(1, (2000, 20)), {}),
        (scene(1), {"exif": exif(6)}),
        (scene(1).convert("L"), {}),
        (scene(1).convert("CMYK"), {}),
    ],
    ids=["photo", "big", "small", "panorama", "turned", "grey", "CMYK"],
)
def test_the_input_is_the_one_that_classification_gets(image: Image.Image, options: dict[str, object]) -> None:
    data = encoded(image, **options)
    np.testing.assert_array_equal(
        examine(data, SHAPE, MAX_PIXELS).pixels, decode(data, SHAPE.height, SHAPE.width, MAX_PIXELS)
    )


def test_size_and_thumbnail_are_upright() -> None:
    for turn, size in ((1, (640, 480)), (6, (480, 640))):
        found = examined(scene(2), exif=exif(turn))
        assert (found.width, found.height) == size
        thumbnail = Image.open(io.BytesIO(found.thumbnail))
        assert (thumbnail.format, max(thumbnail.size)) == ("JPEG", THUMBNAIL_SIDE)
        assert thumbnail.size == tuple(round(side * THUMBNAIL_SIDE / 640) for side in size)
        small = np.asarray(thumbnail.resize((8, 8)), float)
        np.testing.assert_allclose(small, Image.fromarray(found.pixels).resize((8, 8)), atol=12)


def test_a_small_picture_is_not_enlarged() -> None:
    assert Image.open(io.BytesIO(examined(scene(3, (50, 40))).thumbnail)).size == (50, 40)


@pytest.mark.parametrize("seed", range(6))
def test_copies_have_nearly_the_same_hash(seed: int) -> None:
    image = scene(seed)
    first = examined(image, "PNG")
    for copy in (examined(image, quality=35), examined(image.resize((300, 225))), examined(image.resize((320, 320)))):
        assert distance(first.hash, copy.hash) <= 4
    turned = examined(image.transpose(Transpose.FLIP_LEFT_RIGHT))
    assert distance(turned.hash, first.mirrored_hash) <= 4
    assert distance(turned.mirrored_hash, first.hash) <= 4


def test_other_pictures_have_other_hashes() -> None:
    hashes = [examined(scene(seed)).hash for seed in range(12)]
    assert min(distance(one, other) for place, one in enumerate(hashes) for other in hashes[:place]) > 8
    assert all(0 <= each < 2**64 for each in hashes)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "empty_file"), (b"text", "unsupported_format"), (encoded(scene(1))[:4000], "truncated")],
)
def test_only_item_errors_are_raised(data: bytes, code: str) -> None:
    with pytest.raises(ItemError) as raised:
        examine(data, SHAPE, MAX_PIXELS)
    assert raised.value.code == code
