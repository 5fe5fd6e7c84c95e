"""Thumbnails for lists, made on demand from stored pictures that a worker has already decoded."""

from __future__ import annotations

import io
from threading import BoundedSemaphore

from PIL.Image import Resampling

from shared.domain.entities import Item
from shared.domain.errors import ItemError
from shared.images.headers import open_image
from shared.images.pixels import THUMBNAIL_SIDE, UPRIGHT, eight_bit, orientation, over_white, thumbnail_size

#: Bytes up to which a picture of that size, in a format that browsers show, is its own thumbnail.
SMALL_BYTES = 32 * 1024
#: A box filter shrinks to this many times the size first, as in `Image.thumbnail`: faster.
REDUCING_GAP = 2.0
BROWSER_FORMATS = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/avif"}
#: Limits the thumbnails made at a time in one process, so that decoded photos do not pile up in memory.
_making = BoundedSemaphore(2)


def thumbnail(item: Item, content: bytes) -> tuple[bytes, str]:
    """Return the thumbnail and its media type; the picture itself if it is small or cannot be decoded."""
    upload = item.upload
    is_small = upload.size <= SMALL_BYTES and max(upload.width or 0, upload.height or 0) <= THUMBNAIL_SIDE
    if upload.media_type in BROWSER_FORMATS and is_small:
        return content, upload.media_type or "application/octet-stream"
    try:
        with _making:
            return _shrink(content, (upload.width or 0) * (upload.height or 0)), "image/jpeg"
    except (ItemError, OSError, ValueError, SyntaxError):
        return content, upload.media_type or "application/octet-stream"


def _shrink(content: bytes, pixels: int) -> bytes:
    image = open_image(io.BytesIO(content), pixels)
    size = thumbnail_size(*image.size)
    image.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    image.load()
    small = over_white(eight_bit(image).resize(size, Resampling.BICUBIC, reducing_gap=REDUCING_GAP))
    if (turn := orientation(image)) in UPRIGHT:
        small = small.transpose(UPRIGHT[turn])
    out = io.BytesIO()
    small.save(out, "JPEG", quality=82)
    return out.getvalue()
