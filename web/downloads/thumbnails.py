"""A small copy of a stored picture, for lists: made when it is asked for, of pictures that a worker has decoded."""

from __future__ import annotations

import io
from threading import BoundedSemaphore

from PIL import Image, ImageOps

from shared.domain.entities import Item
from shared.domain.errors import ItemError
from shared.images.headers import open_image

#: Longest side in pixels: a card of the result page at twice its size, for dense screens.
SIDE = 256
#: Bytes up to which a picture that every browser shows is its own thumbnail.
SMALL_BYTES = 32 * 1024
SHOWN_BY_BROWSERS = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/avif"}
#: Thumbnails made at a time in one process, so that decoded photos do not pile up in memory.
_making = BoundedSemaphore(2)


def thumbnail(item: Item, content: bytes) -> tuple[bytes, str]:
    """The small copy of a picture that a worker has decoded, and its media type; the picture where it is small."""
    upload = item.upload
    if upload.media_type in SHOWN_BY_BROWSERS and upload.size <= SMALL_BYTES:
        return content, upload.media_type or "application/octet-stream"
    try:
        with _making:
            return _shrink(content, (upload.width or 0) * (upload.height or 0)), "image/jpeg"
    except (ItemError, OSError, ValueError, SyntaxError):
        return content, upload.media_type or "application/octet-stream"


def _shrink(content: bytes, pixels: int) -> bytes:
    image: Image.Image = open_image(io.BytesIO(content), pixels)
    image.draft("RGB", (SIDE, SIDE))
    image = ImageOps.exif_transpose(image)
    image.thumbnail((SIDE, SIDE))
    flat = Image.new("RGB", image.size, "white")
    rgba = image.convert("RGBA")
    flat.paste(rgba, mask=rgba.getchannel("A"))
    out = io.BytesIO()
    flat.save(out, "JPEG", quality=82)
    return out.getvalue()
