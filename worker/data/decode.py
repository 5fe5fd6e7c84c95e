"""Decode the bytes of a picture to the pixels that the network gets.

Steps: open the file and check format and size, decode the first frame, convert the pixels to 8-bit grey, RGB or RGBA,
resize, composite over white, and apply the EXIF orientation. The last two are cheap after resizing.

Big JPEGs are decoded at a half, a quarter or an eighth of their size (`draft`), directly from their DCT coefficients.
On one core, a 12-megapixel JPEG takes 33 ms to 32 × 32 pixels, 79 ms without `draft`, and 168 ms if the bicubic filter
also reads every pixel (no `REDUCING_GAP`).
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, TiffImagePlugin
from PIL.Image import Resampling

from shared.domain.errors import ItemError
from shared.domain.preprocessing import Resize
from shared.images import formats
from shared.images.headers import open_image
from shared.images.pixels import UPRIGHT, eight_bit, orientation, over_white

#: Scaled decoding keeps at least this many times the target size, so that the filter has pixels to average.
DRAFT_MARGIN: Final = 2
#: A box filter shrinks to this many times the target size before the bicubic filter: nearly the same, and faster.
REDUCING_GAP: Final = 3.0
#: Scans in one JPEG. Encoders write about ten; a scan of a few bytes still costs a pass over every pixel.
MAX_JPEG_SCANS: Final = 1_000

_START_OF_SCAN: Final = b"\xff\xda"
_END_OF_IMAGE: Final = b"\xff\xd9"
#: Entropy-coded bytes of no picture, with all restart markers (ITU-T T.81 B.1.1).
_NO_PICTURE: Final = b"".join(bytes(range(1, 255)) + b"\xff" + bytes([0xD0 + number]) for number in range(8))


Size = tuple[int, int]
Box = tuple[float, float, float, float]


def decode(data: bytes, height: int, width: int, max_pixels: int, resize: Resize = "squash") -> npt.NDArray[np.uint8]:
    """Return the picture in `data` as a uint8 RGB array (height, width, 3).

    `resize` says whether the whole picture is squashed to that size, or cropped to those proportions before. A picture
    of exactly that size keeps its pixels. The filter is bicubic, with antialiasing. Thread-safe.

    Raises only ItemError: `empty_file`, `unsupported_format`, `too_many_pixels` (more than `max_pixels`; nothing is
    decoded then), `truncated` if pixels at the end of the file are missing, `undecodable` for other damage.
    """
    with only_item_errors(data):
        return _decoded(data, height, width, max_pixels, resize)[0]


def decode_with_size(
    data: bytes, height: int, width: int, max_pixels: int, resize: Resize = "squash"
) -> tuple[npt.NDArray[np.uint8], Size]:
    """Return what `decode` returns, and the width and height of the whole picture upright. Raise what `decode` does."""
    with only_item_errors(data):
        pixels, turn = _decoded(data, height, width, max_pixels, resize)
        size = open_image(io.BytesIO(data), max_pixels).size
        return pixels, size[::-1] if turn >= 5 else size


def _decoded(
    data: bytes, height: int, width: int, max_pixels: int, resize: Resize
) -> tuple[npt.NDArray[np.uint8], int]:
    """Return the picture as `decode` does, and its EXIF orientation."""
    image = load(data, max(height, width) * DRAFT_MARGIN, max_pixels)
    turn = orientation(image)
    return np.array(resized(eight_bit(image), turn, width, height, resize), dtype=np.uint8), turn


def resized(image: Image.Image, turn: int, width: int, height: int, resize: Resize = "squash") -> Image.Image:
    """Return an 8-bit picture with the EXIF orientation `turn` upright, as RGB over white, resized as `decode` does."""
    size = (height, width) if turn >= 5 else (width, height)
    small = over_white(_resized(image, size, shown_part(image.size, size, resize)))
    return small if turn == 1 else small.transpose(UPRIGHT[turn])


def shown_part(picture: Size, size: Size, resize: Resize) -> Box:
    """Return the left, upper, right and lower end of what a network with an input of `size` gets of a picture.

    Sizes are widths and heights in pixels.
    """
    if resize == "squash":
        return (0, 0, *picture)
    scale = min(picture[0] / size[0], picture[1] / size[1])
    left, upper = (max(0.0, whole - side * scale) / 2 for whole, side in zip(picture, size, strict=True))
    return left, upper, picture[0] - left, picture[1] - upper


def load(data: bytes, side: int, max_pixels: int) -> ImageFile.ImageFile:
    """Return the picture with its pixels; a JPEG may be smaller, with both sides at least `side`."""
    try:
        return _load(data, side, max_pixels)
    except OSError:
        if formats.sniff(data[: formats.HEAD_BYTES]) is not formats.JPEG or not _is_cut_off(data):
            raise
    return _loaded_without_end(data.removesuffix(b"\xff"), side, max_pixels)


def _loaded_without_end(data: bytes, side: int, max_pixels: int) -> ImageFile.ImageFile:
    """Return a JPEG that lacks its last marker. Raise ItemError if it lacks pixels too.

    libjpeg fills up missing pixels without an error. But then it also reads what stands in their place, and the result
    differs; after a complete picture it skips that.
    """
    image = _load(data + _END_OF_IMAGE, side, max_pixels)
    if image.tobytes() != _load(data + _NO_PICTURE + _END_OF_IMAGE, side, max_pixels).tobytes():
        raise _truncated()
    return image


def _load(data: bytes, side: int, max_pixels: int) -> ImageFile.ImageFile:
    image = open_image(io.BytesIO(data), max_pixels)
    _prepare_jpeg(image, data, side)
    image.load()
    return image


@contextmanager
def only_item_errors(data: bytes) -> Iterator[None]:
    """Translate every exception from decoding `data` to an ItemError; plugins raise almost any type."""
    try:
        yield
    except ItemError as error:
        if error.code == "undecodable" and _is_cut_off(data):
            raise _truncated() from error
        raise
    except MemoryError as error:
        raise ItemError("undecodable", "This picture takes more memory to decode than is available.") from error
    except Exception as error:
        if _is_cut_off(data) or "truncated" in str(error).lower():
            raise _truncated() from error
        raise ItemError("undecodable", "This picture is damaged: its pixels cannot be decoded.") from error


def _truncated() -> ItemError:
    return ItemError("truncated", "This picture is truncated: the end of the file is missing.")


def _prepare_jpeg(image: ImageFile.ImageFile, data: bytes, side: int) -> None:
    """Select the smallest scale of a JPEG with both sides at least `side`; do nothing for other formats."""
    if image.format not in ("JPEG", "MPO"):
        return
    if data.count(_START_OF_SCAN) > MAX_JPEG_SCANS:
        raise ItemError("undecodable", f"This JPEG has more than {MAX_JPEG_SCANS:,} scans.")
    image.draft(None, (side, side))


def _resized(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Return `box` of an L, RGB or RGBA picture in the `size`; RGBA is filtered with premultiplied alpha.

    Pillow premultiplies by itself, but then ignores the reducing gap, which is slow for big pictures.
    """
    if image.size == size:
        return image
    if image.mode == "RGBA":
        small = image.convert("RGBa").resize(size, Resampling.BICUBIC, box, REDUCING_GAP)
        return small.convert("RGBA")
    return image.resize(size, Resampling.BICUBIC, box, REDUCING_GAP)


def _is_cut_off(data: bytes) -> bool:
    """Return whether the format shows that an undecodable picture is truncated."""
    try:
        return _CUT_OFF[formats.sniff(data[: formats.HEAD_BYTES])](data)
    except Exception:  # noqa: BLE001  damaged in another way
        return False


def _tiff_cut_off(data: bytes) -> bool:
    """Return whether the first directory, or a strip or tile in it, extends past the end."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    word, counter, entry = (8, 8, 20) if 43 in data[2:4] else (4, 2, 12)  # bytes, in BigTIFF and in TIFF
    start = int.from_bytes(data[word : 2 * word], order)
    tags = int.from_bytes(data[start : start + counter], order)
    if start + counter + tags * entry + word > len(data):
        return True
    image = open_image(io.BytesIO(data), sys.maxsize)
    found = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    pairs = ((273, 279), (324, 325))  # offsets and byte counts: of strips, of tiles
    ends = (
        sum(piece)
        for offsets, counts in pairs
        for piece in zip(found.get(offsets, ()), found.get(counts, ()), strict=False)
    )
    return max(ends, default=0) > len(data)


def _boxes_cut_off(data: bytes) -> bool:
    """Return whether a top-level box extends past the end (ISO/IEC 14496-12 4.2: 0 is "to the end", 1 "64-bit")."""
    start = 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        if size == 1:
            size = int.from_bytes(data[start + 8 : start + 16], "big")
        if size == 0:
            return False
        start += max(size, 8)
    return start > len(data)


_CUT_OFF: Final[dict[formats.Format, Callable[[bytes], bool]]] = {
    formats.JPEG: lambda data: data.rfind(_END_OF_IMAGE) <= data.rfind(_START_OF_SCAN),
    formats.PNG: lambda data: b"IEND" not in data,
    formats.GIF: lambda data: not data.rstrip(b"\0").endswith(b";"),
    formats.BMP: lambda data: int.from_bytes(data[2:6], "little") > len(data),
    formats.WEBP: lambda data: int.from_bytes(data[4:8], "little") + 8 > len(data),
    formats.TIFF: _tiff_cut_off,
    formats.AVIF: _boxes_cut_off,
    formats.HEIC: _boxes_cut_off,
}
