"""A map of evidence as a picture to lay over the thumbnail."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from worker.data.decode import Box

#: Colours from the least to the greatest evidence, evenly spaced: brighter is more, whatever lies below.
COLOURS = ((10, 8, 45), (85, 15, 105), (190, 45, 75), (245, 140, 30), (255, 240, 130))
#: Opacity, 0 to 255: the picture below stays visible.
OPACITY = 150
#: The least span of a map in units of evidence: anything smaller is rounding, and shows nothing.
MIN_SPAN = 1e-5


def draw(evidence: NDArray[np.float32], size: tuple[int, int], part: Box | None = None) -> bytes:
    """Return a PNG of `size` (width, height) of a map (rows, columns) of a part of a picture; by default of all of it.

    `part` is its left, upper, right and lower end; the rest is transparent. The 256 half transparent colours go from
    dark, where the evidence is least, to bright, where it is greatest.
    """
    left, upper, right, lower = (round(end) for end in part or (0, 0, *size))
    shown = (max(right - left, 1), max(lower - upper, 1))
    image = Image.fromarray(_levels(np.asarray(Image.fromarray(evidence).resize(shown, Resampling.BICUBIC))), "P")
    image.putpalette(_palette(), "RGBA")
    if shown != size:
        whole = Image.new("RGBA", size)
        whole.paste(image.convert("RGBA"), (left, upper))
        image = whole
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _levels(evidence: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the evidence stretched to 0 to 255."""
    low, span = evidence.min(), np.ptp(evidence)
    if span < MIN_SPAN:
        return np.zeros(evidence.shape, np.uint8)
    levels: NDArray[np.float32] = (evidence - low) * (255 / span)
    return levels.round().astype(np.uint8)


def _palette() -> bytes:
    """Return the 256 colours: red, green, blue and opacity of each."""
    share, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(COLOURS))
    channels = [np.interp(share, places, channel) for channel in zip(*COLOURS, strict=True)]
    return np.stack([*channels, np.full(256, OPACITY)], axis=1).round().astype(np.uint8).tobytes()
