"""Everything that an import needs from a picture, with one decoding."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.domain.card import Input
from shared.images.headers import open_image
from shared.images.pixels import THUMBNAIL_SIDE, eight_bit, orientation, thumbnail_size
from worker.data.decode import DRAFT_MARGIN, load, only_item_errors, resized
from worker.data.perceptual_hash import perceptual_hashes

#: Quality of the JPEG of a thumbnail.
THUMBNAIL_QUALITY = 82


@dataclass(frozen=True, eq=False)
class Examined:
    """A decoded picture.

    `width` and `height` are those of the upright picture in the file, `pixels` (height, width, 3) the input of the
    network, `thumbnail` a JPEG. The hashes are of the picture and of its mirror image; see `perceptual_hash`.
    """

    width: int
    height: int
    pixels: NDArray[np.uint8]
    thumbnail: bytes
    hash: int
    mirrored_hash: int


def examine(data: bytes, shape: Input, max_pixels: int) -> Examined:
    """Return the picture in `data` with the input of a network of that shape: the same as from `decode`. Thread-safe.

    Raises only ItemError, as `decode` does.
    """
    with only_item_errors(data):
        width, height = open_image(io.BytesIO(data), max_pixels).size
        image = load(data, max(shape.height, shape.width, THUMBNAIL_SIDE // DRAFT_MARGIN) * DRAFT_MARGIN, max_pixels)
        turn, flat = orientation(image), eight_bit(image)
        if turn >= 5:
            width, height = height, width
        small = resized(flat, turn, shape.width, shape.height)
        hashes = perceptual_hashes(small)
        return Examined(width, height, np.array(small), _thumbnail(flat, turn, width, height), *hashes)


def _thumbnail(image: Image.Image, turn: int, width: int, height: int) -> bytes:
    """Return a JPEG of an 8-bit picture with the EXIF orientation `turn`; upright, it is `width` × `height`."""
    out = io.BytesIO()
    resized(image, turn, *thumbnail_size(width, height)).save(out, "JPEG", quality=THUMBNAIL_QUALITY)
    return out.getvalue()
