import io
import random
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.domain.errors import ItemError
from shared.images.headers import MAX_FRAMES, MAX_TIFF_TILE_PIXELS, ImageHeader, inspect, open_image
from tests.fixtures import make, odd

#: Pillow's warnings about odd metadata are silenced in production (see `shared.images.headers`).
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LIMIT = 100_000_000
NO_LIMIT = 10**12
ROOT = Path(__file__).parents[3]
#: Sizes as stored, (width, height), of the pictures that are not 64 × 48.
SIZES = {
    "photo.jpg": (365, 274),
    "turned.jpg": (194, 258),  # 258 × 194 once it is turned upright
    "progressive.jpg": (258, 194),
    "grey.jpg": (60, 40),
    "tiny.png": (1, 1),
    "line.png": (900, 1),
    "rgb16.png": (32, 24),
}
#: Codes and key words of the errors.
REFUSALS = {
    "empty.jpg": ("empty_file", "empty"),
    "text.jpg": ("unsupported_format", "seems to be text"),
    "paper.pdf": ("unsupported_format", "a PDF document"),
    "liar.jpg": ("unsupported_format", "not a known picture format"),
    "signature.jpg": ("undecodable", "header is broken"),
    "signature.png": ("undecodable", "header is broken"),
    "signature.webp": ("undecodable", "header is broken"),
    "signature.heic": ("undecodable", "header is broken"),
    "liar.gif": ("undecodable", "header is broken"),
    "bomb.png": ("too_many_pixels", "2,500,000,000 pixels (50000 × 50000); at most 100,000,000"),
    "huge.gif": ("too_many_pixels", "(65535 × 65535)"),
    "huge.webp": ("too_many_pixels", "(16383 × 16383)"),
    "huge.bmp": ("too_many_pixels", "(40000 × 40000)"),
    "huge.tiff": ("too_many_pixels", "(60000 × 60000)"),
    "huge-big.tiff": ("too_many_pixels", "(60000 × 60000)"),
    "huge.avif": ("too_many_pixels", "(16383 × 16383)"),
    "huge.heic": ("too_many_pixels", "(16383 × 16383)"),
    "chunks.png": ("undecodable", "in too many pieces"),
    "strips.tiff": ("undecodable", "300,009 numbers"),
    "tile.tiff": ("undecodable", "32768 × 32768"),
    "frames.avif": ("undecodable", "too many frames (1,000,000)"),
}


def content(name: str) -> bytes:
    return {**odd.PICTURES, **odd.NO_PICTURES, **odd.BROKEN}[name]()


def refusal(data: bytes, max_pixels: int = LIMIT) -> ItemError:
    with pytest.raises(ItemError) as caught:
        inspect(io.BytesIO(data), max_pixels)
    return caught.value


def only_item_errors(data: bytes) -> None:
    try:
        assert isinstance(inspect(io.BytesIO(data), LIMIT), ImageHeader)
    except ItemError as error:
        assert error.code in {"empty_file", "unsupported_format", "too_many_pixels", "undecodable"}
        assert str(error).endswith(".")


@pytest.mark.parametrize("name", odd.PICTURES)
def test_the_size_is_the_stored_one(name):
    header = inspect(io.BytesIO(content(name)), LIMIT)

    assert (header.width, header.height) == SIZES.get(name, (64, 48))


@pytest.mark.parametrize("name", REFUSALS)
def test_an_error_has_a_code_and_a_sentence(name):
    code, words = REFUSALS[name]
    error = refusal(content(name))

    assert error.code == code
    assert words in str(error)


@pytest.mark.parametrize("name", ["photo.jpg", "rgb.png", "lossy.webp", "plain.tiff", "photo.avif", "photo.heic"])
def test_a_picture_of_exactly_the_limit_is_accepted(name):
    width, height = SIZES.get(name, (64, 48))

    inspect(io.BytesIO(content(name)), width * height)
    assert refusal(content(name), width * height - 1).code == "too_many_pixels"


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.gif", "cut.webp", "cut.bmp", "cut.tiff", "scans.jpg"])
def test_pixels_are_not_checked(name):
    assert inspect(io.BytesIO(content(name)), LIMIT).width > 0


def test_a_bomb_within_the_limit_is_accepted():
    header = inspect(io.BytesIO(odd.png_bomb()), NO_LIMIT)

    assert (header.width, header.height) == (50_000, 50_000)


def test_the_bomb_is_a_valid_png():
    with open_image(io.BytesIO(odd.png_bomb(3_000)), LIMIT) as image:
        assert image.getextrema() == (0, 0)


def test_a_file_on_disk_is_left_open(tmp_path):
    path = tmp_path / "any-name-at-all"
    path.write_bytes(make.avif())

    with path.open("rb") as file:
        assert inspect(file, LIMIT).format.media_type == "image/avif"
        file.seek(0)
        assert file.read() == make.avif()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (61, 47), (300, 2), (16_383, 1)])
@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0"}])
def test_the_size_of_a_webp_is_in_its_first_bytes(width, height, options):
    data = make.encode(Image.new("RGB", (width, height), "navy"), "WEBP", **options)

    for part in (data, data[:30]):
        header = inspect(io.BytesIO(part), LIMIT)
        assert (header.width, header.height) == (width, height)


def test_a_webp_frame_without_a_side_is_broken():
    data = bytearray(make.encode(Image.new("RGB", (8, 8)), "WEBP"))
    data[26:28] = bytes(2)

    assert refusal(bytes(data)).code == "undecodable"


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_with_many_rows_is_accepted(big):
    assert inspect(io.BytesIO(odd.tiff_header(640, 480, strips=480, big=big)), LIMIT).height == 480


def test_a_tiff_with_wide_tiles_is_accepted():
    side = int(MAX_TIFF_TILE_PIXELS**0.5)

    assert inspect(io.BytesIO(odd.tiff_header(64, 48, tile=side)), LIMIT).width == 64
    assert refusal(odd.tiff_header(64, 48, tile=side + 16)).code == "undecodable"


def test_tiles_are_checked_in_a_big_endian_tiff():
    tags = [
        (256, 3, 9),
        (257, 3, 9),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 1),
        (277, 3, 1),
        (322, 3, 30_000),
        (323, 3, 30_000),
    ]
    entries = b"".join(struct.pack(">HHIHH", tag, kind, 1, value, 0) for tag, kind, value in tags)

    assert "30000 × 30000" in str(refusal(b"MM\0*\0\0\0\x08" + struct.pack(">H", len(tags)) + entries + bytes(4)))


def test_frames_of_an_animation_are_limited():
    assert inspect(io.BytesIO(odd.avif_frames(MAX_FRAMES)), LIMIT).width == 64
    assert refusal(odd.avif_frames(MAX_FRAMES + 1)).code == "undecodable"


def test_an_animation_with_endless_tables_is_rejected():
    empty_tables = b"stsc" * 300_000
    for tables in (empty_tables[:4_000], empty_tables, bytes(1_100_000)):
        box = (8 + len(tables)).to_bytes(4, "big") + b"moov" + tables
        assert refusal(make.avif() + box).code == "undecodable"


def test_a_tiff_with_endless_tags_is_rejected():
    data = b"II+\0\x08\0\0\0" + (16).to_bytes(8, "little") + (2**40).to_bytes(8, "little")

    assert "1,099,511,627,776" in str(refusal(data))


@pytest.mark.parametrize("data", [b"\xff\xd8\xff" + bytes(100_000), b"GIF89a" + bytes(7) + b"!\x01" + b"\1\0" * 50_000])
def test_a_header_of_endless_small_pieces_is_rejected(data):
    assert "in too many pieces" in str(refusal(data))


def test_headers_take_no_memory_whatever_they_claim():
    """Given headers of 268 megapixels and more, and tables of millions of rows,
    when a process with 512 MiB reads them with hardly a limit on pixels,
    then it reads all of them.
    """
    script = """
import io, resource
from shared.domain.errors import ItemError
from shared.images.headers import inspect
from tests.fixtures import odd
files = [made() for name, made in odd.BROKEN.items() if name.startswith("huge")]
files += [odd.tiff_header(9, 9, strips=4_000_000), odd.png_chunks(400_000), odd.avif_frames(2_500_000)]
resource.setrlimit(resource.RLIMIT_AS, (512 * 2**20,) * 2)
for data in files:
    try:
        print(inspect(io.BytesIO(data), 10**12).width)
    except ItemError as error:
        print(str(error))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True)

    answers = done.stdout.splitlines()
    assert answers[:7] == ["65535", "16383", "40000", "60000", "60000", "16383", "16383"]
    assert ["too many" in answer for answer in answers[7:]] == [True] * 3


@given(st.binary(max_size=300), st.sampled_from([b"", *(content(n)[:24] for n in ("rgb.png", "rgb.bmp", "still.gif"))]))
def test_any_bytes_are_a_header_or_an_item_error(data, start):
    only_item_errors(start + data)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(odd.PICTURES)), st.sampled_from(sorted(odd.PICTURES)), st.integers(0, 2**32))
def test_damaged_pictures_are_a_header_or_an_item_error(name, other, seed):
    only_item_errors(odd.mutate(content(name), random.Random(seed), content(other)))
