import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ItemError
from shared.images.formats import ACCEPTED, FORMATS, HEAD_BYTES, Format, archive_kind, describe, sniff
from tests.fixtures import odd

BY_ENDING = {
    "jpg": "JPEG",
    "png": "PNG",
    "webp": "WebP",
    "gif": "GIF",
    "bmp": "BMP",
    "tiff": "TIFF",
    "avif": "AVIF",
    "heic": "HEIC",
}
SEEMS = {
    "text.jpg": "text",
    "utf16.jpg": "text",
    "paper.pdf": "a PDF document",
    "drawing.eps": "a PostScript or EPS drawing",
    "preview.eps": "an EPS drawing",
    "layers.psd": "a Photoshop document (PSD)",
    "drawing.svg": "an SVG drawing",
    "page.html": "a web page (HTML)",
    "data.xml": "an XML document",
    "pictures.zip": "a ZIP archive",
    "pictures.tar": "a TAR archive",
    "pictures.tar.gz": "a GZIP archive",
    "pictures.rar": "a RAR archive",
    "pictures.7z": "a 7z archive",
    "film.mp4": "an MP4 video",
    "film.mov": "a QuickTime video (MOV)",
    "film.avi": "an AVI video",
}


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return (4 + len(body)).to_bytes(4, "big") + body + b"\0\0\0\x08free" + b"avifheic"


def refusal(head: bytes) -> ItemError:
    with pytest.raises(ItemError) as caught:
        sniff(head)
    return caught.value


@pytest.mark.parametrize("name", odd.PICTURES)
def test_a_format_is_detected_from_the_first_bytes(name):
    content = odd.PICTURES[name]()

    assert sniff(content[:HEAD_BYTES]).name == BY_ENDING[name.rsplit(".")[-1]]
    assert archive_kind(content[:HEAD_BYTES]) is None


@pytest.mark.parametrize("name", SEEMS)
def test_an_error_says_what_the_file_seems_to_be_and_what_is_accepted(name):
    error = refusal(odd.NO_PICTURES[name]()[:HEAD_BYTES])

    assert error.code == "unsupported_format"
    assert SEEMS[name] in str(error) and ACCEPTED in str(error)


@pytest.mark.parametrize("name", ["noise.png", "zeros.bmp", "one-byte.png"])
def test_an_unknown_file_is_rejected_without_a_guess(name):
    error = refusal(odd.NO_PICTURES[name]()[:HEAD_BYTES])

    assert error.code == "unsupported_format"
    assert "seems" not in str(error) and ACCEPTED in str(error)


def test_an_empty_file_has_its_own_code():
    assert refusal(b"").code == "empty_file"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (ftyp(b"avif"), "AVIF"),
        (ftyp(b"avis", b"msf1"), "AVIF"),
        (ftyp(b"mif1", b"miaf", b"avif"), "AVIF"),
        (ftyp(b"heix"), "HEIC"),
        (ftyp(b"mif1", b"heic"), "HEIC"),
        (ftyp(b"msf1", b"iso8", b"hevc"), "HEIC"),
    ],
)
def test_heif_formats_are_detected_from_their_brands(head, name):
    assert sniff(head).name == name


@pytest.mark.parametrize(
    ("head", "noun"),
    [
        (ftyp(b"mif1", b"miaf"), "a HEIF picture of an unusual kind"),  # brands after the end of the box do not count
        (b"\0\0\0\0" + ftyp(b"mif1")[4:], "a HEIF picture of an unusual kind"),
        (ftyp(b"crx "), "a camera's raw photo"),
        (ftyp(b"isom", b"avif"), "an MP4 video"),
        (ftyp(b"M4A "), "an M4A recording"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "a camera's raw photo"),
        (b"\0\0\x10\0moov" + bytes(40), "a QuickTime video (MOV)"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "a WAV recording"),
        (b"BMP is the name of a format\n", "text"),
        (b"\x00\x01junk\n%PDF-1.4\n", "a PDF document"),
        (b"<html><svg></svg></html>", "a web page (HTML)"),
        (("a" + "é" * HEAD_BYTES).encode()[:HEAD_BYTES], "text"),  # ends within a character
        (b"RIFF\x10\0\0\0????", None),
        (b"\xff\xd8", None),
        (b"GIF88a\0\1\0\1", None),
    ],
)
def test_files_that_resemble_a_picture_are_rejected(head, noun):
    assert refusal(head).code == "unsupported_format"
    assert describe(head) == noun


@pytest.mark.parametrize(
    ("name", "kind"),
    [("pictures.zip", "zip"), ("pictures.tar", "tar"), ("pictures.tar.gz", "gzip"), ("film.avi", None)],
)
def test_an_archive_is_detected_from_its_content(name, kind):
    assert archive_kind(odd.NO_PICTURES[name]()[:HEAD_BYTES]) == kind


@pytest.mark.parametrize("flavour", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_flavour_of_tar_is_detected(flavour):
    assert archive_kind(odd.tar_archive(flavour)[:HEAD_BYTES]) == "tar"


def test_a_tar_without_a_signature_is_detected_from_its_checksum():
    head = bytearray(odd.tar_archive()[:HEAD_BYTES])
    head[257:512] = bytes(255)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)

    assert archive_kind(bytes(head)) == "tar"
    head[0] ^= 1
    assert archive_kind(bytes(head)) is None


def test_an_empty_zip_is_a_zip():
    assert archive_kind(b"PK\x05\x06" + bytes(18)) == "zip"


def test_a_picture_is_not_an_archive_whatever_follows_its_signature():
    head = bytearray(odd.tar_archive()[:HEAD_BYTES])
    head[:8] = b"\x89PNG\r\n\x1a\n"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)

    assert archive_kind(bytes(head)) is None
    assert tarfile.TarInfo.frombuf(bytes(head), "latin-1", "strict").size > 0  # yet tar would read it


def test_every_format_is_listed_with_a_media_type():
    assert ACCEPTED == "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and HEIC"
    assert {f.name for f in FORMATS} == set(BY_ENDING.values())
    assert [f.media_type for f in FORMATS] == [f"image/{f.name.lower()}" for f in FORMATS]


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_are_a_format_or_rejected(head):
    try:
        assert isinstance(sniff(head), Format)
    except ItemError as error:
        assert error.code == ("unsupported_format" if head else "empty_file")
    assert archive_kind(head) in ("zip", "tar", "gzip", None)


@given(st.sampled_from(sorted(odd.PICTURES)), st.binary(max_size=64))
def test_what_follows_the_head_changes_nothing(name, tail):
    head = odd.PICTURES[name]()[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")

    assert sniff(head) == sniff(head + tail)
