"""Checks of an image's header before it is decoded: format and size in pixels.

Images are opened with Pillow only through `open_image`, which selects the decoder by content and rejects files that are
expensive to open. Measured with Pillow 13.0 and pillow-heif 1.8: opening a header that claims 16383 × 16383 pixels is
cheap except in WebP, whose decoder reserves 8 bytes per claimed pixel at once (2 GB of address space). But 32 MB of
TIFF strip offsets take 26 s and 2.9 GB, of empty PNG chunks 9 s and 0.3 GB, of one-byte GIF blocks 3 s: hence the
limits below. JPEG, PNG, GIF, BMP and TIFF headers are read in pieces. AVIF and HEIC libraries read the whole file into
memory, and 2.5 million frames in an AVIF of 2.5 MB take 0.3 GB. The size of a WebP is in its first 30 bytes.

Importing this module configures Pillow for the process: its own pixel limit is off, since `open_image` has one; AVIF
and HEIC decode in one thread, since callers use threads themselves; warnings about odd metadata (`UserWarning`) are
silenced, since uploads must not fill the log.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final, Literal, cast

from PIL import AvifImagePlugin, Image, ImageFile, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin
from pillow_heif import register_heif_opener

from shared.domain.errors import ItemError
from shared.images import formats, tiff

#: Reads while opening an image: a photo with much metadata needs about a hundred, 20,000 take about 50 ms.
MAX_HEADER_READS: Final = 20_000
#: Numbers in the first directory of a TIFF, in all tags: two per strip or tile. Each takes 360 bytes and 3 µs.
MAX_TIFF_NUMBERS: Final = 200_000
#: Tags in the first directory of a TIFF; raw converters write about a hundred.
MAX_TIFF_TAGS: Final = 4_096
#: Frames in an animated AVIF or HEIC. Each takes 140 bytes when it is opened, though only the first is decoded.
MAX_FRAMES: Final = 50_000
#: Bytes and number of the tables that describe those frames: two per track, of which there are up to three.
MAX_MOVIE_BYTES: Final = 1024 * 1024
MAX_MOVIE_TABLES: Final = 16
#: Pixels in a tile of a TIFF; the decoder reserves a whole tile (3 or 4 bytes per pixel) even for a small image.
MAX_TIFF_TILE_PIXELS: Final = 4096 * 4096
#: Tags that every TIFF needs: width, height, compression.
_REQUIRED_TAGS: Final = frozenset({256, 257, 259})
#: TIFF types whose values Pillow keeps as bytes, so that long ones are cheap: BYTE, ASCII, UNDEFINED.
_TIFF_BYTE_TYPES: Final = frozenset({1, 2, 7})

_PLUGINS: Final = (AvifImagePlugin, TiffImagePlugin, WebPImagePlugin)  # importing them is what registers them

Image.MAX_IMAGE_PIXELS = None
Image.preinit()
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
tiff.register()
register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True)
class ImageHeader:
    """Format, and `width` and `height` in pixels as stored: EXIF orientation may swap them."""

    format: formats.Format
    width: int
    height: int


def inspect(file: IO[bytes], max_pixels: int) -> ImageHeader:
    """Return the header of the image in `file`, a seekable binary file, which stays open. Decodes no pixels.

    The pixels after a valid header may still be broken or missing. Of a WebP only the first 30 bytes are checked.

    Raises only ItemError: `empty_file`, `unsupported_format`, `too_many_pixels` if width × height exceeds `max_pixels`,
    `undecodable` if the header is broken.
    """
    with _only_item_errors():
        found = _sniff(file)
        if found is formats.WEBP:
            width, height = _webp_size(_head(file))
            check_pixels(width, height, max_pixels)
            return ImageHeader(found, width, height)
        image = _open(file, found, max_pixels)
        return ImageHeader(found, image.width, image.height)


def open_image(file: IO[bytes], max_pixels: int) -> ImageFile.ImageFile:
    """Return the image in `file`, opened with Pillow but not decoded; `load()` then decodes at most `max_pixels`.

    `file` must stay open until the image is loaded. Raises only ItemError, as `inspect` does.
    """
    with _only_item_errors():
        found = _sniff(file)
        if found is formats.WEBP:
            check_pixels(*_webp_size(_head(file)), max_pixels)
        return _open(file, found, max_pixels)


def check_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise ItemError `too_many_pixels`, with size and limit, if width × height exceeds `max_pixels`."""
    if width * height > max_pixels:
        size = f"{width * height:,} pixels ({width} × {height})"
        raise ItemError("too_many_pixels", f"This picture has {size}; at most {max_pixels:,} are allowed.")


def _sniff(file: IO[bytes]) -> formats.Format:
    return formats.sniff(_head(file))


def _head(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(formats.HEAD_BYTES)


def _open(file: IO[bytes], found: formats.Format, max_pixels: int) -> ImageFile.ImageFile:
    reader = _CountingReader(file)
    bounded = cast(IO[bytes], reader)
    tags: dict[int, int] = {}
    if found is formats.TIFF:
        tags = _check_tiff(bounded)
    if found in (formats.AVIF, formats.HEIC):
        _check_movie(bounded)
    try:
        image = Image.open(bounded, formats=[found.pillow])
    except UnidentifiedImageError:
        if set(tags) >= _REQUIRED_TAGS:
            raise _unknown_layout(tags) from None
        raise
    tiff.prepare(image)
    reader.reads_left = None
    check_pixels(image.width, image.height, max_pixels)
    return image


@contextmanager
def _only_item_errors() -> Iterator[None]:
    """Translate all exceptions into ItemError: on hostile headers, plugins raise almost any type."""
    try:
        yield
    except ItemError:
        raise
    except Exception as error:
        raise ItemError("undecodable", "This file begins like a picture, but its header is broken.") from error


class _CountingReader:
    """A binary file for Pillow that limits the number of reads while an image is opened."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.reads_left: int | None = MAX_HEADER_READS
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        if self.reads_left is not None:
            self.reads_left -= 1
            if self.reads_left < 0:
                raise ItemError("undecodable", "The header of this picture is in too many pieces.")
        return self._file.read(size)


def _webp_size(head: bytes) -> tuple[int, int]:
    """Return width and height of a WebP from its first chunk (WebP container specification; RFC 6386 9.1)."""
    chunk = head[12:16]
    if len(head) >= 30 and chunk == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if len(head) >= 30 and chunk == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        sides = int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
        if all(sides):
            return sides
    if len(head) >= 25 and chunk == b"VP8L" and head[20] == 0x2F:
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise ItemError("undecodable", "This file begins like a WebP picture, but its header is broken.")


def _check_tiff(file: IO[bytes]) -> dict[int, int]:
    """Return the tags of the first directory that have one number (TIFF 6.0 section 2; BigTIFF has 64-bit offsets).

    Raise ItemError if the directory is expensive to open.
    """
    tags: dict[int, int] = {}
    numbers = 0
    for tag, kind, count, value in _tiff_tags(file):
        if kind not in _TIFF_BYTE_TYPES:
            numbers += count
        if count == 1:
            tags[tag] = value
    if numbers > MAX_TIFF_NUMBERS:
        raise ItemError("undecodable", f"This TIFF is in too many pieces ({numbers:,} numbers in its directory).")
    width, height = tags.get(322, 0), tags.get(323, 0)
    if width * height > MAX_TIFF_TILE_PIXELS:
        raise ItemError("undecodable", f"The tiles of this TIFF are too large: {width} × {height} pixels.")
    return tags


def _unknown_layout(tags: dict[int, int]) -> ItemError:
    """Return the error for a TIFF whose header is intact but whose kind of pixels is unknown."""
    samples, photometric = tags.get(277, 1), tags.get(262, "not given")
    kind = f"{samples} samples per pixel, photometric interpretation {photometric}"
    return ItemError(
        "unsupported_format", f"This kind of TIFF is not supported ({kind}). Save it as 8-bit RGB or grey, or as a PNG."
    )


def _tiff_tags(file: IO[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Yield (tag, type, count, value) of the first directory; `value` is the number in the entry if there is one."""
    file.seek(0)
    head = file.read(16)
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
    word = 8 if 43 in head[2:4] else 4  # bytes of an offset, and of a value
    file.seek(int.from_bytes(head[word : 2 * word], order))
    tags = int.from_bytes(file.read(8 if word == 8 else 2), order)
    if tags > MAX_TIFF_TAGS:
        raise ItemError("undecodable", f"This TIFF has too many tags ({tags:,}).")
    for _ in range(tags):
        entry = file.read(4 + 2 * word)
        tag, kind = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:4], order)
        value = entry[4 + word :][: 2 if kind == 3 else word]  # type 3, SHORT, fills only the first two bytes
        yield tag, kind, int.from_bytes(entry[4 : 4 + word], order), int.from_bytes(value, order)


def _check_movie(file: IO[bytes]) -> None:
    """Raise ItemError for too many frames: chunks × frames per chunk (ISO/IEC 14496-12 8.7.4 and 8.7.5)."""
    movie = _movie(file)
    if sum(movie.count(name) for name in (b"stco", b"co64", b"stsc")) > MAX_MOVIE_TABLES:
        raise ItemError("undecodable", "This animation has too many tracks.")
    chunks = max((count for name in (b"stco", b"co64") for count, _ in _tables(movie, name)), default=0)
    per_chunk = 0
    for count, values in _tables(movie, b"stsc"):
        rows = min(count, len(values) // 12)  # of first chunk, frames per chunk, description
        per_chunk = max(per_chunk, *struct.unpack(f">{3 * rows}I", values[: 12 * rows])[1::3], 0)
    if chunks * per_chunk > MAX_FRAMES:
        raise ItemError("undecodable", f"This animation has too many frames ({chunks * per_chunk:,}).")


def _tables(movie: bytes, name: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number of rows, bytes from the first row) of every table called `name`."""
    for match in re.finditer(name, movie):
        yield int.from_bytes(movie[match.end() + 4 : match.end() + 8], "big"), movie[match.end() + 8 :]


def _movie(file: IO[bytes]) -> bytes:
    """Return the top-level `moov` boxes of an ISO base media file (ISO/IEC 14496-12 4.2), with its animation."""
    movie, start = b"", 0
    while True:
        file.seek(start)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if head[4:8] == b"moov":
            movie += head + file.read(MAX_MOVIE_BYTES if size == 0 else min(size, MAX_MOVIE_BYTES))
        if len(movie) > MAX_MOVIE_BYTES:
            raise ItemError("undecodable", "The tables of this animation are too large.")
        if size < 8:
            return movie
        start += size
