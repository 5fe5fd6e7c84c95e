"""From decoded pixels of any kind to 8-bit grey, RGB or RGBA, upright and without transparency."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, ImageFile, ImageOps
from PIL.Image import Transpose

from shared.images import tiff

UPRIGHT: Final = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
"""Transposition for each EXIF orientation (Exif 2.32, tag 274); 1 is upright, and 5 to 8 swap width and height."""

#: Longest side of a thumbnail in pixels: twice that of a card on the pages, for high-density screens.
THUMBNAIL_SIDE: Final = 256


def thumbnail_size(width: int, height: int) -> tuple[int, int]:
    """Return width and height of the thumbnail of a picture: never larger than the picture."""
    scale = min(1, THUMBNAIL_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded picture, or 1 if it is missing or invalid."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001  invalid metadata must not fail the picture
        return 1
    return value if value in UPRIGHT else 1


def over_white(image: Image.Image) -> Image.Image:
    """Return the picture as RGB, with transparent parts over white."""
    if image.mode != "RGBA":
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def eight_bit(image: ImageFile.ImageFile) -> Image.Image:
    """Return the picture converted from any mode to L, RGB or RGBA, with black as zero."""
    grey = _deep_grey(image)
    if grey is None and image.mode in ("1", "L", "La", "LA"):
        grey = image.convert({"1": "L", "La": "LA"}.get(image.mode, image.mode))
    if grey is None:
        return _colour(image)
    if tiff.stored_inverted(image):
        grey = _inverted(grey)
    return grey.convert("RGBA") if grey.has_transparency_data else grey


def _deep_grey(image: ImageFile.ImageFile) -> Image.Image | None:
    """Return grey of more than 8 bits, or of signed numbers, as an L or LA picture, and None for other pictures."""
    values = tiff.numbers(image)
    if values is None:
        return None
    if values.dtype != np.uint16:
        return _from_numbers(*_full_scale(values))
    grey = _from_numbers(values, full_scale=4095 if tiff.bits(image) == 12 else 65535)
    if "transparency" in image.info:  # a PNG in which one value stands for nothing
        grey.putalpha(Image.fromarray(np.uint8(255) * (values != image.info["transparency"])))
    return grey


def _colour(image: Image.Image) -> Image.Image:
    """Return a picture that is not grey as RGB or RGBA."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode == "LAB":
        return _from_lab(image)
    return image.convert("RGB")


def _inverted(grey: Image.Image) -> Image.Image:
    """Return the negative of an L or LA picture; alpha stays."""
    if grey.mode == "L":
        return ImageOps.invert(grey)
    return Image.merge("LA", (ImageOps.invert(grey.getchannel("L")), grey.getchannel("A")))


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
