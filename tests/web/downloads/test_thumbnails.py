"""Thumbnails show what the network has seen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from shared.domain.entities import Item, Upload
from tests.fixtures.tiffs import tiff
from web.downloads.thumbnails import thumbnail

LEFT_BLACK = np.repeat(np.array([0.0, 1.0]), 32)[None].repeat(64, axis=0)[..., None]


@pytest.mark.parametrize(("photometric", "bits", "sample_format"), [(0, 8, 1), (0, 16, 1), (1, 16, 1), (0, 32, 3)])
def test_black_is_black_in_every_kind_of_tiff(photometric, bits, sample_format):
    stored = LEFT_BLACK if photometric else 1 - LEFT_BLACK
    content = tiff(stored * (1 if sample_format == 3 else 2**bits - 1), bits, photometric, sample_format=sample_format)
    upload = Upload("a", "a.tif", len(content), "", "image/tiff", width=64, height=64)
    small, media_type = thumbnail(Item(upload, 0.0), content)
    assert media_type == "image/jpeg"
    shown = np.asarray(Image.open(io.BytesIO(small)).convert("L"))
    assert shown[:, :24].max() < 10 and shown[:, 40:].min() > 245
