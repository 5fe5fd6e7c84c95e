"""TIFF files of every layout: the right pixels, never a negative, or a truthful refusal."""

from __future__ import annotations

import numpy as np
import pytest

from shared.domain.errors import ItemError
from tests.fixtures.tiffs import tiff
from worker.data.decode import decode

LIMIT = 10_000
#: Grey values from black to white, and how far 8 bits may round them.
GREY = np.array([0, 0.2, 0.4, 0.6, 0.8, 1])
COLOURS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0.2, 0.4, 0.6]])
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
LAYOUTS = [(UNSIGNED, bits) for bits in (1, 2, 4, 8, 12, 16, 32)] + [(SIGNED, bits) for bits in (8, 16, 32)]
LAYOUTS += [(FLOAT, 32), (FLOAT, 64)]


def row(data: bytes) -> np.ndarray:
    """The only row of the decoded picture, scaled to [0, 1]."""
    width = int.from_bytes(data[18:20], "little") if data[:2] == b"II" else int.from_bytes(data[18:22], "big")
    return decode(data, 1, width, LIMIT)[0] / 255


def numbers(grey: np.ndarray, sample_format: int, bits: int) -> np.ndarray:
    """Grey values in the range of a format: all of it, or 0 to 1."""
    if sample_format == FLOAT:
        return grey
    return np.rint(grey * (2**bits - 1)) - (2 ** (bits - 1) if sample_format == SIGNED else 0)


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("sample_format", "bits"), LAYOUTS)
def test_grey_is_right_in_every_layout(sample_format, bits, order, deflate):
    """WhiteIsZero (0) is the negative of BlackIsZero (1), which a missing tag stands for."""
    grey = np.round(GREY) if bits == 1 else np.round(GREY * 3) / 3 if bits == 2 else GREY
    samples = numbers(grey, sample_format, bits).reshape(1, -1, 1)
    for photometric, wanted in ((0, 1 - grey), (1, grey), (None, grey)):
        found = row(tiff(samples, bits, photometric, order, sample_format=sample_format, deflate=deflate))
        assert np.abs(found - wanted[:, None]).max() < 0.01, photometric


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("photometric", "extra"), [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
def test_alpha_of_grey_is_not_inverted(photometric, extra, order):
    opaque = np.stack([GREY, np.ones(len(GREY))], axis=1).reshape(1, -1, 2) * 255
    wanted = GREY if photometric else 1 - GREY
    assert np.abs(row(tiff(np.rint(opaque), 8, photometric, order, extra=extra)) - wanted[:, None]).max() < 0.01


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 16])
def test_colours_are_right_in_every_layout(bits, order, planes, deflate):
    top, options = 2**bits - 1, {"planes": planes, "deflate": deflate}
    rgb = np.rint(COLOURS[None] * top)
    assert np.abs(row(tiff(rgb, bits, 2, order, **options)) - COLOURS).max() < 0.01
    alpha = np.dstack([rgb, np.full(rgb.shape[:2], top)])
    assert np.abs(row(tiff(alpha, bits, 2, order, extra=2, **options)) - COLOURS).max() < 0.01
    cmyk = np.dstack([top - rgb, np.zeros(rgb.shape[:2])])
    assert np.abs(row(tiff(cmyk, bits, 5, order, **options)) - COLOURS).max() < 0.01


@pytest.mark.parametrize(
    ("channels", "bits", "photometric", "options"),
    [(1, 10, 1, {}), (1, 16, 1, {"sample_format": FLOAT}), (3, 32, 2, {"sample_format": FLOAT}), (1, 16, 32803, {})],
)
def test_other_layouts_are_refused_with_their_reason(channels, bits, photometric, options):
    with pytest.raises(ItemError, match="kind of TIFF is not supported") as caught:
        row(tiff(np.zeros((1, 4, channels)), bits, photometric, **options))
    assert caught.value.code == "unsupported_format"
