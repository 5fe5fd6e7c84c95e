"""A perceptual hash: pictures that look the same have nearly the same 64 bits, whatever their size and compression.

The signs of the lowest frequencies of the picture, as in pHash (Zauner 2010, "Implementation and Benchmarking of
Perceptual Image Hash Functions", chapter 3.2.1).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Side of the grey picture whose frequencies are taken, and of the block of frequencies that is kept.
SIDE, KEPT = 32, 8


def _cosines() -> NDArray[np.float64]:
    """Return the first KEPT rows of the matrix of the discrete cosine transform (DCT-II), (KEPT, SIDE)."""
    frequencies, places = np.arange(KEPT)[:, None], np.arange(SIDE)[None]
    rows: NDArray[np.float64] = np.cos(math.pi * frequencies * (2 * places + 1) / (2 * SIDE))
    return rows


_COSINES: Final = _cosines()


def perceptual_hashes(image: Image.Image) -> tuple[int, int]:
    """Return the hashes of an RGB picture and of its mirror image, 0 to 2⁶⁴ − 1."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    frequencies = _COSINES @ grey @ _COSINES.T
    mirrored = frequencies * (-1.0) ** np.arange(KEPT)  # mirroring changes the sign of every other frequency
    return _bits(frequencies), _bits(mirrored)


def distance(first: int, second: int) -> int:
    """Return the number of bits that differ, 0 to 64. Unrelated pictures differ in about 32."""
    return (first ^ second).bit_count()


def _bits(frequencies: NDArray[np.float64]) -> int:
    """Return which frequencies are above the median; the mean brightness does not count."""
    values = frequencies.ravel()[1:]
    above = np.concatenate([[False], values > np.median(values)])
    return int.from_bytes(np.packbits(above).tobytes(), "big")
