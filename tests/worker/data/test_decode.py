import os
import random
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from shared.domain.errors import ItemError
from tests.fixtures import make, odd
from worker.data.decode import MAX_JPEG_SCANS, decode

#: Production silences what Pillow remarks on odd metadata (see `shared.images.headers`), so tests must not fail on it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

LIMIT = 100_000_000
ROOT = Path(__file__).parents[3]
CODES = {"empty_file", "unsupported_format", "too_many_pixels", "truncated", "undecodable"}


def content(name: str) -> bytes:
    return {**odd.PICTURES, **odd.NO_PICTURES, **odd.BROKEN}[name]()


def refusal(data: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        decode(data, 32, 32, LIMIT)
    return caught.value


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The mean absolute difference of two pictures, in grey levels."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


def grey_tiff(values: np.ndarray) -> bytes:
    return make.encode(Image.fromarray(values), "TIFF")


def only_item_errors(data: bytes) -> None:
    try:
        assert decode(data, 32, 32, LIMIT).shape == (32, 32, 3)
    except ItemError as error:
        assert error.code in CODES
        assert str(error).endswith(".")


@pytest.mark.parametrize("path", sorted(make.CIFAR10.iterdir()), ids=lambda path: path.stem)
def test_a_picture_of_the_wanted_size_keeps_its_pixels(path):
    with Image.open(path) as image:
        assert np.array_equal(decode(path.read_bytes(), 32, 32, LIMIT), np.asarray(image))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_every_lossless_format_gives_the_same_pixels(kind, options):
    upright = make.pixels(32, 32, seed=3)

    assert np.array_equal(decode(make.encode(upright, kind, **options), 32, 32, LIMIT), upright)


@pytest.mark.parametrize("name", odd.PICTURES)
def test_every_kind_of_picture_becomes_an_array_of_the_wanted_shape(name):
    pixels = decode(content(name), 24, 40, LIMIT)

    assert pixels.shape == (24, 40, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("rgb.png", 0),
        ("interlaced.png", 0),
        ("rgb.bmp", 0),
        ("plain.tiff", 0),
        ("lzw.tiff", 0),
        ("pages.tiff", 0),
        ("lossless.webp", 0),
        ("cmyk.tiff", 1),
        ("lab.tiff", 2),
        ("cmyk.jpg", 3),
        ("jpeg.tiff", 4),
        ("lossy.webp", 6),
        ("photo.heic", 4),
        ("photo.avif", 6),
        ("still.gif", 4),
        ("palette.bmp", 6),
    ],
)
def test_the_colours_are_right(name, tolerance):
    assert difference(decode(content(name), 48, 64, LIMIT), make.pixels(48, 64)) <= tolerance


@pytest.mark.parametrize("name", ["grey16.png", "grey16.tiff", "float.tiff", "int32.tiff"])
def test_deep_grey_is_scaled_to_eight_bits(name):
    ramp = (make.grey16() // 257).astype(np.uint8)

    assert np.array_equal(decode(content(name), 48, 64, LIMIT), np.repeat(ramp[:, :, None], 3, axis=2))


def test_deep_colour_is_scaled_to_eight_bits():
    assert np.array_equal(decode(make.png16_rgb(), 24, 32, LIMIT), make.pixels(24, 32))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 100, 255]], np.float32), [0, 100, 255]),
        (np.array([[0, 257, 65535]], np.float32), [0, 1, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 1, np.inf]], np.float32), [0, 255, 0]),
        (np.array([[0, 10, 255]], np.int32), [0, 10, 255]),
        (np.array([[0, 2570, 65535]], np.int32), [0, 10, 255]),
        (np.array([[-(2**31), 0, 2**31 - 1]], np.int32), [0, 128, 255]),
        (np.array([[7_000_000, 7_000_000, 7_000_000]], np.int32), [0, 0, 0]),
    ],
)
def test_numbers_without_a_stated_white_are_scaled_by_their_range(values, expected):
    assert decode(grey_tiff(values), 1, 3, LIMIT)[0, :, 0].tolist() == expected


def test_what_is_transparent_shows_white():
    pixels = decode(make.png_palette(), 48, 64, LIMIT)

    assert (pixels[:, :32] == 255).all()
    assert difference(pixels[:, 32:], make.pixels(48, 64)[:, 32:]) < 20


def test_half_transparent_black_over_white_is_grey():
    pixels = decode(make.png_grey_alpha(), 48, 64, LIMIT)
    alpha = np.linspace(0, 255, 64).round()

    assert np.abs(pixels.astype(int) - (255 - alpha)[None, :, None]).max() <= 1


def test_colours_hidden_under_transparency_do_not_bleed_when_shrinking():
    hidden = np.zeros((64, 64, 4), np.uint8)
    hidden[..., 0] = 255  # red, but fully transparent
    hidden[:, 32:] = (0, 0, 255, 255)

    pixels = decode(make.encode(hidden, "PNG"), 8, 8, LIMIT).astype(int)
    assert (pixels[..., 2] >= 250).all()
    assert np.abs(pixels[..., 0] - pixels[..., 1]).max() <= 2


def test_one_bit_is_black_or_white():
    pixels = decode(make.png_bits(), 48, 64, LIMIT)

    assert (pixels[:, 0::2] == 0).all()
    assert (pixels[:, 1::2] == 255).all()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_frame_counts(kind):
    assert difference(decode(make.animated(kind), 8, 8, LIMIT), np.full((8, 8, 3), (255, 0, 0))) <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 6),
        ("PNG", {}, 0),
        ("TIFF", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("AVIF", {"quality": 95, "speed": 10}, 4),
        ("HEIF", {"quality": 95}, 4),
    ],
)
def test_every_orientation_of_a_picture_gives_the_same_array(kind, options, tolerance, orientation):
    upright = make.pixels(90, 120, seed=1)
    turned = make.oriented(upright, orientation, kind, **options)
    straight = make.oriented(upright, 1, kind, **options)

    assert difference(decode(turned, 90, 120, LIMIT), decode(straight, 90, 120, LIMIT)) <= tolerance
    # The filter goes along rows before columns, and rounds in between.
    assert difference(decode(turned, 30, 40, LIMIT), decode(straight, 30, 40, LIMIT)) <= max(tolerance / 4, 0.3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("height", "width", "part"), [(90, 90, np.s_[:, 15:105]), (60, 120, np.s_[15:75, :])])
def test_a_picture_can_be_cropped_to_the_middle(orientation, height, width, part):
    upright = make.pixels(90, 120, seed=1)
    turned = make.oriented(upright, orientation, "PNG")
    assert np.array_equal(decode(turned, height, width, LIMIT, "crop"), upright[part])


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (7, 3), (31, 977), (977, 31)])
def test_any_picture_can_be_cropped(size):
    assert decode(make.encode(make.pixels(*size), "PNG"), 224, 224, LIMIT, "crop").shape == (224, 224, 3)


def test_a_big_photo_is_cropped_as_a_small_one():
    photo, whole = make.photo(1), decode(make.photo(1), 866, 1154, LIMIT)
    expected = decode(make.encode(whole[:, 144:-144], "PNG"), 32, 32, LIMIT)
    assert difference(decode(photo, 32, 32, LIMIT, "crop"), expected) < 1.5
    assert difference(decode(photo, 32, 32, LIMIT), expected) > 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_big_turned_photo_is_upright_after_scaled_decoding(orientation):
    upright = decode(make.encode(make.pixels(866, 1154), "PNG"), 24, 40, LIMIT)

    assert difference(decode(make.photo(1, orientation), 24, 40, LIMIT), upright) < 1.5


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(9)]
)
def test_broken_exif_data_leave_a_picture_as_stored(exif):
    data = make.encode(make.pixels(48, 64), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif

    assert np.array_equal(decode(data[:2] + segment + data[2:], 32, 32, LIMIT), decode(data, 32, 32, LIMIT))


def test_an_orientation_that_does_not_exist_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 77
    data = make.encode(make.pixels(48, 64), "PNG", exif=exif.tobytes())

    assert np.array_equal(decode(data, 48, 64, LIMIT), make.pixels(48, 64))


def test_scaled_decoding_of_a_photo_is_close_to_decoding_all_of_it():
    pixels = make.pixels(3000, 4000)
    whole = Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC)

    assert difference(decode(make.encode(pixels, "JPEG", quality=90), 32, 32, LIMIT), np.asarray(whole)) < 1


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty.jpg", "empty_file"),
        ("text.jpg", "unsupported_format"),
        ("paper.pdf", "unsupported_format"),
        ("drawing.eps", "unsupported_format"),
        ("layers.psd", "unsupported_format"),
        ("bomb.png", "too_many_pixels"),
        ("huge.gif", "too_many_pixels"),
        ("huge.webp", "too_many_pixels"),
        ("huge.heic", "too_many_pixels"),
        ("cut.jpg", "truncated"),
        ("cut.png", "truncated"),
        ("cut.gif", "truncated"),
        ("cut.webp", "truncated"),
        ("cut.bmp", "truncated"),
        ("cut.tiff", "truncated"),
        ("cut-lzw.tiff", "truncated"),
        ("cut.avif", "truncated"),
        ("cut.heic", "truncated"),
        ("signature.png", "truncated"),
        ("chunks.png", "undecodable"),
        ("strips.tiff", "undecodable"),
        ("tile.tiff", "undecodable"),
        ("frames.avif", "undecodable"),
        ("scans.jpg", "undecodable"),
    ],
)
def test_a_picture_that_cannot_be_classified_says_why(name, code):
    assert refusal(content(name)).code == code


@pytest.mark.parametrize("name", ["photo.jpg", "progressive.jpg", "rgb.png", "still.gif", "rgb.bmp", "lossy.webp"])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.8])
def test_wherever_a_file_is_cut_it_is_truncated(name, keep):
    assert refusal(odd.cut(content(name), keep)).code == "truncated"


@pytest.mark.parametrize("kind", ["TIFF", "tiled"])
def test_a_tiff_that_lost_its_last_piece_is_truncated(kind):
    data = make.tiff("plain")[:-1] if kind == "TIFF" else odd.tiff_header(16, 16, tile=16)[:-4]

    assert refusal(data).code == "truncated"


@pytest.mark.parametrize("name", ["photo.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_complete(name):
    whole = content(name)
    expected = decode(whole, 32, 32, LIMIT)

    for without_end in (whole[:-1], whole[:-2], whole[:-2] + bytes(100)):
        assert np.array_equal(decode(without_end, 32, 32, LIMIT), expected)


@pytest.mark.parametrize("options", [{}, {"restart_marker_rows": 1}, {"progressive": True}])
def test_a_jpeg_that_lacks_pixels_is_truncated(options):
    whole = make.encode(make.pixels(96, 96), "JPEG", **options)
    ends = [whole.rindex(b"\xff\xda") + 20, len(whole) - 12]
    ends += [at for at in range(len(whole) // 2, len(whole) - 12) if whole[at : at + 2] == b"\xff\xd2"]

    for end in ends:
        assert refusal(whole[:end]).code == "truncated"


def test_a_value_that_stands_for_nothing_shows_white():
    image = Image.fromarray(np.array([[0, 257, 65535]], np.uint16))

    assert decode(make.encode(image, "PNG", transparency=0), 1, 3, LIMIT)[0, :, 0].tolist() == [255, 1, 255]


def test_damage_in_the_middle_is_not_called_a_cut():
    data = bytearray(make.encode(make.pixels(48, 64), "PNG"))
    data[len(data) // 2] ^= 0xFF

    assert refusal(bytes(data)).code == "undecodable"


def test_a_jpeg_may_have_many_scans_but_not_any_number():
    assert decode(odd.jpeg_scans(MAX_JPEG_SCANS - 50), 32, 32, LIMIT).shape == (32, 32, 3)
    assert "1,000 scans" in str(refusal(odd.jpeg_scans(MAX_JPEG_SCANS)))


def test_the_pixel_limit_counts_pixels_as_stored():
    data = make.encode(make.pixels(30, 40), "PNG")

    assert decode(data, 8, 8, 1200).shape == (8, 8, 3)
    with pytest.raises(ItemError) as caught:
        decode(data, 8, 8, 1199)
    assert caught.value.code == "too_many_pixels"


def test_a_picture_that_takes_more_memory_than_there_is_fails_alone():
    """Given a process that may use 1 GiB,
    when it decodes a picture of 2.5 GB that its limit allows, one that its limit refuses, and a small one,
    then only the small one succeeds, and the refused one was refused before anything was reserved for it.
    """
    script = """
import resource
from shared.domain.errors import ItemError
from tests.fixtures import make, odd
from worker.data.decode import decode
resource.setrlimit(resource.RLIMIT_AS, (2**30,) * 2)
for data, limit in (odd.png_bomb(), 10**12), (odd.webp_header(16383, 16383), 10**8), (make.png_bits(), 10**8):
    try:
        print(decode(data, 32, 32, limit).shape)
    except ItemError as error:
        print(error.code, error)
"""
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # each of its threads reserves address space
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=True)

    big, refused, small = done.stdout.splitlines()
    assert "memory" in big
    assert refused.startswith("too_many_pixels")
    assert small == "(32, 32, 3)"


def test_threads_do_not_disturb_each_other():
    names = sorted({**odd.PICTURES, **odd.BROKEN})

    def outcome(name: str) -> bytes | str:
        try:
            return decode(content(name), 32, 32, LIMIT).tobytes()
        except ItemError as error:
            return error.code

    alone = [outcome(name) for name in names]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(outcome, names)) == alone


def test_a_cut_file_is_never_filled_up_with_grey():
    decode(content("photo.jpg"), 32, 32, LIMIT)

    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_odd_files_are_the_same_for_the_same_seed_and_of_every_kind():
    one, two = list(odd.odd_files(5, 200)), list(odd.odd_files(5, 200))

    assert one == two
    assert [data for _, data in odd.odd_files(6, 200)] != [data for _, data in one]
    assert {content(name) for name in (*odd.PICTURES, *odd.NO_PICTURES, *odd.BROKEN)} <= {data for _, data in one}
    assert any("\n" in name for name, _ in one)


def test_no_odd_file_raises_anything_but_an_item_error():
    for _, data in odd.odd_files(11, 400):
        only_item_errors(data)


@given(st.binary(max_size=300), st.sampled_from([b"", *(content(n)[:40] for n in ("rgb.png", "rgb.bmp", "still.gif"))]))
def test_any_bytes_give_an_array_or_an_item_error(data, start):
    only_item_errors(start + data)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(odd.PICTURES)), st.sampled_from(sorted(odd.PICTURES)), st.integers(0, 2**32))
def test_damaged_pictures_give_an_array_or_an_item_error(name, other, seed):
    only_item_errors(odd.mutate(content(name), random.Random(seed), content(other)))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**16))
def test_any_small_png_comes_back_exactly(height, width, seed):
    pixels = make.pixels(height, width, seed)

    assert np.array_equal(decode(make.encode(pixels, "PNG"), height, width, LIMIT), pixels)
