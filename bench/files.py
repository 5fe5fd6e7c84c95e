"""Files for benchmarks: test images of CIFAR-10 as PNG, and photos; in zips and multipart bodies."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from worker.data.datasets import load_cifar10

#: Sizes of photos in pixels, 1 to 12 megapixels; 4:3 and 3:2, as in cameras and phones.
PHOTO_SIZES = ((1200, 900), (1600, 1200), (2304, 1536), (2592, 1944), (3264, 2448), (4000, 3000))
#: Distinct photos of each size. Further ones differ only in a comment, so that no two files are equal.
PHOTOS_OF_SIZE = 4
#: Boundary of multipart bodies.
BOUNDARY = "darkroom-bench"


def write(folder: Path, files: Sequence[bytes], ending: str) -> list[Path]:
    """Write each file under its number, and return the paths."""
    paths = [folder / f"{number:06}.{ending}" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_bytes(content)
    return paths


def pngs(count: int) -> list[bytes]:
    """Return `count` test images as PNG files; the images repeat if there are fewer."""
    images = load_cifar10().x_test
    files = [_encoded(Image.fromarray(image), "PNG") for image in images[:count]]
    return [files[n % len(files)] for n in range(count)]


def photos(count: int) -> list[bytes]:
    """Return JPEG files of 1 to 12 megapixels (0.3 to 4 MB) of noise with the spectrum of photos."""
    wanted = [(size, seed) for seed in range(PHOTOS_OF_SIZE) for size in PHOTO_SIZES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = list(pool.map(lambda one: _photo(*one), wanted))
    return [_with_comment(made[n % len(made)], n) for n in range(count)]


def _photo(size: tuple[int, int], seed: int) -> bytes:
    """Return noise with a 1/f spectrum, as in photos: octaves of decreasing size and increasing amplitude."""
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
    """Return the JPEG with a comment segment after its first marker."""
    text = f"photo {number}".encode()
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def archive(files: Sequence[bytes], ending: str = "png") -> bytes:
    """Return the files as one zip, stored without compression."""
    return stored_zip({f"{number:06}.{ending}": content for number, content in enumerate(files)})


def stored_zip(files: Mapping[str, bytes]) -> bytes:
    """Return the files, by name, as one zip, stored without compression."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as entries:
        for name, content in files.items():
            entries.writestr(name, content)
    return buffer.getvalue()


def bodies(files: Sequence[bytes], each: int) -> Iterator[bytes]:
    """Yield multipart bodies of `each` files, with BOUNDARY."""
    for start in range(0, len(files), each):
        head = '--{}\r\nContent-Disposition: form-data; name="files"; filename="{}.png"\r\n\r\n'
        parts = (
            head.format(BOUNDARY, start + n).encode() + content + b"\r\n"
            for n, content in enumerate(files[start : start + each])
        )
        yield b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
