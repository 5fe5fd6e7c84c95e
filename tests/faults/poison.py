"""Pictures that do harm to workers whose Celery app is `tests.faults.poisoned`; to others they are as good as any."""

from __future__ import annotations

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.fixtures import make

#: What a PNG has in a text chunk to be poison.
KILLS, HANGS = b"kills its worker", b"is never decoded"
#: Seconds for one chunk there, beyond which its process is killed.
TIMEOUT_S = 4


def poison(content: bytes, how: bytes) -> bytes:
    """The same picture with a text that makes it poison."""
    text = PngInfo()
    text.add_text("Comment", how.decode())
    return make.encode(Image.open(io.BytesIO(content)), "PNG", pnginfo=text)
