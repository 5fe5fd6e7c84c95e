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
from PIL import ExifTags, Image, ImageCms, ImageFile, TiffImagePlugin
from PIL.Image import Resampling, Transpose

from shared.domain.errors import ItemError
from shared.images import formats
from shared.images.headers import open_image

#: Scaled decoding keeps at least this many times the target size, so that the filter has pixels to average.
DRAFT_MARGIN: Final = 2
#: A box filter shrinks to this many times the target size before the bicubic filter: nearly the same, and faster.
REDUCING_GAP: Final = 3.0
#: Scans in one JPEG. Encoders write about ten; a scan of a few bytes still costs a pass over every pixel.
MAX_JPEG_SCANS: Final = 1_000

_START_OF_SCAN: Final = b"\xff\xda"
_END_OF_IMAGE: Final = b"\xff\xd9"
_UPRIGHT: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""Transposition for each EXIF orientation (Exif 2.32, tag 274); 1 is upright, and 5 to 8 swap width and height."""


def decode(data: bytes, height: int, width: int, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Return the picture in `data` as a uint8 RGB array (height, width, 3), resized without cropping.

    A picture of exactly that size keeps its pixels. The filter is bicubic, with antialiasing. Thread-safe.

    Raises only ItemError: `empty_file`, `unsupported_format`, `too_many_pixels` (more than `max_pixels`; nothing is
    decoded then), `truncated` if the end of the file is missing, `undecodable` for other damage.
    """
    with _only_item_errors(data):
        image = open_image(io.BytesIO(data), max_pixels)
        _prepare_jpeg(image, data, max(height, width) * DRAFT_MARGIN)
        image.load()
        orientation = _orientation(image)
        size = (height, width) if orientation >= 5 else (width, height)
        small = _over_white(_resized(_eight_bit(image), size))
        if orientation != 1:
            small = small.transpose(_UPRIGHT[orientation])
        return np.array(small, dtype=np.uint8)


@contextmanager
def _only_item_errors(data: bytes) -> Iterator[None]:
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


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded picture, or 1 if it is missing or invalid."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001  invalid metadata must not fail the picture
        return 1
    return value if value in _UPRIGHT else 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return the picture converted from any mode to L, RGB or RGBA."""
    if image.mode.startswith("I;16"):
        return _from_numbers(np.asarray(image), full_scale=65535)
    if image.mode in ("I", "F"):
        return _from_numbers(*_full_scale(np.asarray(image)))
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _from_numbers(values: npt.NDArray[np.generic], full_scale: float) -> Image.Image:
    """Return grey values (height, width) of any number type as an L picture; `full_scale` becomes white."""
    scaled = values.astype(np.float32) * np.float32(255 / full_scale)
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))


def _full_scale(values: npt.NDArray[np.generic]) -> tuple[npt.NDArray[np.generic], float]:
    """Return 32-bit values and the value of white, which these files do not declare: 1.0, 255 or 65535 by their range.

    Values outside these ranges are stretched from black to white. NaN and infinity become 0.
    """
    values = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    scales = [1.0, 255.0, 65535.0] if np.issubdtype(values.dtype, np.floating) else [255.0, 65535.0]
    for scale in scales:
        if low >= 0 and high <= scale:
            return values, scale
    return values.astype(np.float64) - low, max(high - low, 1.0)


def _from_lab(image: Image.Image) -> Image.Image:
    """Return a CIE L*a*b* picture (a TIFF from a photo editor) as RGB."""
    lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB")
    if converted is None:
        raise ValueError("littleCMS returned nothing")
    return converted


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return an L, RGB or RGBA picture resized to `size` (width, height); RGBA is filtered with premultiplied alpha.

    Pillow premultiplies by itself, but then ignores the reducing gap, which is slow for big pictures.
    """
    if image.size == size:
        return image
    if image.mode == "RGBA":
        small = image.convert("RGBa").resize(size, Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
        return small.convert("RGBA")
    return image.resize(size, Resampling.BICUBIC, reducing_gap=REDUCING_GAP)


def _over_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB, with transparent parts over white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


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
