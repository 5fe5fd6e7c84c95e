"""Pictures that harm workers whose Celery app is `tests.faults.poisoned`. To other workers they are ordinary."""

from __future__ import annotations

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.fixtures import make

#: Content of a PNG text chunk that makes it poison.
KILLS, HANGS = b"kills its worker", b"is never decoded"
#: Seconds after which that app kills the process of a chunk.
TIMEOUT_S = 6


def poison(content: bytes, how: bytes) -> bytes:
    """Return the picture with a text chunk that makes it poison."""
    text = PngInfo()
    text.add_text("Comment", how.decode())
    return make.encode(Image.open(io.BytesIO(content)), "PNG", pnginfo=text)
