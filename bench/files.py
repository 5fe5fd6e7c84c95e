"""The files that benchmarks send: test images of CIFAR-10 as PNG, and photos; in zips and in multipart bodies."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from worker.data.datasets import load_cifar10

#: Sizes of photos in pixels, 1 to 12 million each, as cameras and phones have them; 4:3 and 3:2.
PHOTO_SIZES = ((1200, 900), (1600, 1200), (2304, 1536), (2592, 1944), (3264, 2448), (4000, 3000))
#: Different photos of each size. More of them differ in a comment only, so that no two files have the same bytes.
PHOTOS_OF_SIZE = 4
#: What a multipart body's parts begin with.
BOUNDARY = "darkroom-bench"


def write(folder: Path, files: Sequence[bytes], ending: str) -> list[Path]:
    """Write each file under its number; return where."""
    paths = [folder / f"{number:06}.{ending}" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    return paths


def pngs(count: int) -> list[bytes]:
    """The first `count` test images as PNG files, and from the first again where there are not so many."""
    images = load_cifar10().x_test
    files = [_encoded(Image.fromarray(image), "PNG") for image in images[:count]]
    return [files[n % len(files)] for n in range(count)]


def photos(count: int) -> list[bytes]:
    """JPEG files of 1 to 12 megapixels and about 0.3 to 4 MB, made of noise with a photo's spectrum."""
    wanted = [(size, seed) for seed in range(PHOTOS_OF_SIZE) for size in PHOTO_SIZES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda one: _photo(*one), wanted))
    return [_with_comment(made[n % len(made)], n) for n in range(count)]


def _photo(size: tuple[int, int], seed: int) -> bytes:
    """Noise of half the size, a quarter and so on, each twice as strong as the one before: 1/f, as in photos."""
    random = np.random.default_rng(seed)
    width, height = size
    total = random.normal(0, 3, (height, width, 3)).astype(np.float32)
    strength, shrunk = 3.0, 2
    while min(size) // shrunk > 2:
        small = random.normal(128, 1, (height // shrunk, width // shrunk, 3)).clip(124, 132)
        layer = Image.fromarray(((small - 124) * 31).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
        total += (np.asarray(layer, np.float32) - 124) * np.float32(strength / 31)
        strength, shrunk = min(strength * 1.6, 24), shrunk * 2
    return _encoded(Image.fromarray((total + 128).clip(0, 255).astype(np.uint8)), "JPEG", quality=88)


def _with_comment(jpeg: bytes, number: int) -> bytes:
    """The same JPEG with a comment segment behind its first marker."""
    text = f"photo {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def archive(files: Sequence[bytes], ending: str = "png") -> bytes:
    """The files as one zip, not compressed again."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as entries:
        for number, content in enumerate(files):
            entries.writestr(f"{number:06}.{ending}", content)
    return buffer.getvalue()


def bodies(files: Sequence[bytes], each: int) -> Iterator[bytes]:
    """Multipart bodies with so many files in each, to be sent with BOUNDARY."""
    for start in range(0, len(files), each):
        head = '--{}\r\nContent-Disposition: form-data; name="files"; filename="{}.png"\r\n\r\n'
        parts = (
            head.format(BOUNDARY, start + n).encode() + content + b"\r\n"
            for n, content in enumerate(files[start : start + each])
        )
        yield b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
