"""TIFF: layouts of pixels that Pillow lacks or misreads.

`register` adds layouts to Pillow's table. `prepare` corrects how an opened image will be read. Measured with Pillow
13.0: it reads 16-bit samples in separate planes as if they had 8 bits, and swaps the bytes of compressed big-endian
32-bit samples twice.

`numbers`, `bits` and `stored_inverted` are what a decoder needs beside the mode. Pillow inverts WhiteIsZero only up to
8 bits, and reads a picture without PhotometricInterpretation as WhiteIsZero; libtiff, and so other programs, does that
only for fax compressions.
"""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ImageFile, TiffImagePlugin
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, PLANAR_CONFIGURATION, SAMPLEFORMAT

#: Values of the tags PhotometricInterpretation, SampleFormat and PlanarConfiguration (TIFF 6.0).
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
SEPARATE_PLANES: Final = 2
#: Names in Pillow of the compressions for fax, which store white as zero unless a tag says otherwise.
FAX: Final = frozenset({"tiff_ccitt", "group3", "group4", "tiff_raw_16"})

#: Layouts of grey by sample format and bits per sample: mode and raw mode, in little-endian and big-endian files.
_GREY: Final = {
    (UNSIGNED, 12): (("I;16", "I;12"), ("I;16", "I;12")),
    (UNSIGNED, 16): (("I;16", "I;16"), ("I;16B", "I;16B")),
    (UNSIGNED, 32): (("I", "I;32"), ("I", "I;32B")),
    (SIGNED, 8): (("L", "L"), ("L", "L")),
    (SIGNED, 16): (("I", "I;16S"), ("I", "I;16BS")),
    (SIGNED, 32): (("I", "I;32S"), ("I", "I;32BS")),
    (FLOAT, 32): (("F", "F;32F"), ("F", "F;32BF")),
    (FLOAT, 64): (("F", "F;64F"), ("F", "F;64BF")),
}
#: Extra samples of grey with alpha: mode.
_ALPHA: Final = {1: "La", 2: "LA"}


def register() -> None:
    """Add the layouts to Pillow's table."""
    for photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO):
        for place, prefix in enumerate((b"II", b"MM")):
            for (sample_format, depth), layouts in _GREY.items():
                key = (prefix, photometric, (sample_format,), 1, (depth,), ())
                TiffImagePlugin.OPEN_INFO[key] = layouts[place]
            for extra, mode in _ALPHA.items():
                TiffImagePlugin.OPEN_INFO[prefix, photometric, (UNSIGNED,), 1, (8, 8), (extra,)] = (mode, mode)


def prepare(image: ImageFile.ImageFile) -> None:
    """Correct how the pixels of an opened TIFF will be read; other images stay as they are."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    if image.tag_v2.get(PLANAR_CONFIGURATION) == SEPARATE_PLANES and bits(image) == 16:
        image.use_load_libtiff = True  # it knows planes of 16 bits
        whole = ("libtiff", (0, 0, *image.size), 0, (f"{image.mode};16N", False, image.tag_v2.offset))
        image.tile = [ImageFile._Tile(*whole)]
    elif image.use_load_libtiff:
        image.tile = [tile._replace(args=_native(tile.args)) for tile in image.tile]


def bits(image: ImageFile.ImageFile) -> int:
    """Return the bits per sample of a TIFF, or 8 for other images."""
    return int(_tag(image, BITSPERSAMPLE, (8,))[0])


def numbers(image: ImageFile.ImageFile) -> npt.NDArray[np.generic] | None:
    """Return the pixels (height, width) of a loaded grey image of more than 8 bits, or of signed numbers, else None.

    Their dtype is that of the file: uint16 (also for 12 bits), int8, int32, uint32 or float32.
    """
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode == "I":
        values = np.asarray(image)
        return values.view(np.uint32) if bits(image) == 32 and not _is_signed(image) else values
    if image.mode == "F":
        return np.asarray(image)
    return np.asarray(image).view(np.int8) if image.mode == "L" and _is_signed(image) else None


def stored_inverted(image: ImageFile.ImageFile) -> bool:
    """Return whether the loaded pixels are a negative: black is white in the picture."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    photometric = image.tag_v2.get(PHOTOMETRIC_INTERPRETATION)
    is_fax = image.info.get("compression") in FAX
    white_is_zero = photometric == WHITE_IS_ZERO or (photometric is None and is_fax)
    pillow_inverted = photometric in (None, WHITE_IS_ZERO) and image.mode in ("1", "L") and not _is_signed(image)
    return white_is_zero != pillow_inverted


def _is_signed(image: ImageFile.ImageFile) -> bool:
    return bool(_tag(image, SAMPLEFORMAT, (UNSIGNED,))[0] == SIGNED)


def _tag(image: ImageFile.ImageFile, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    found = image.tag_v2.get(tag, default) if isinstance(image, TiffImagePlugin.TiffImageFile) else default
    return found if isinstance(found, tuple) else (found,)


def _native(args: Any) -> Any:
    """Return arguments of the decoder with big samples in the machine's byte order, which is what libtiff gives."""
    return (re.sub(r"^(I;16(?=B?S)|I;32|F;32|F;64)B?([SF]?)$", r"\1N\2", args[0]), *args[1:])
