"""Detection of file formats from the content; file names are ignored.

Pure functions of a file's first `HEAD_BYTES`. The accepted formats are few and widespread, and each has one decoder
with limits. EPS and PDF are programs, SVG references other files, PSD is an editor's working file: they are not
accepted.

Signatures: PNG (W3C PNG 5.2), JPEG (ITU-T T.81 B.1.1), GIF89a 17, TIFF 6.0 section 2 and BigTIFF, RIFF (WebP container
specification), BMP headers (Microsoft `BITMAPINFOHEADER` and its successors), ISO/IEC 14496-12 4.3 (`ftyp`),
ISO/IEC 23008-12 annex B (HEIF brands), the AVIF specification 6, PKWARE APPNOTE 4.3, POSIX.1-1988 (ustar), RFC 1952.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.errors import ItemError

#: Bytes from the start of a file that detection needs: one tar header, the longest. Shorter files have fewer.
HEAD_BYTES: Final = 512

ArchiveKind = Literal["zip", "tar", "gzip", "bzip2", "xz", "zstd"]


@dataclass(frozen=True)
class Format:
    """An accepted image format: its common `name`, its `media_type`, and `pillow`, its id in Pillow."""

    name: str
    media_type: str
    pillow: str


JPEG: Final = Format("JPEG", "image/jpeg", "JPEG")
PNG: Final = Format("PNG", "image/png", "PNG")
WEBP: Final = Format("WebP", "image/webp", "WEBP")
GIF: Final = Format("GIF", "image/gif", "GIF")
BMP: Final = Format("BMP", "image/bmp", "BMP")
TIFF: Final = Format("TIFF", "image/tiff", "TIFF")
AVIF: Final = Format("AVIF", "image/avif", "AVIF")
HEIC: Final = Format("HEIC", "image/heic", "HEIF")

#: All accepted formats, in the order in which messages list them.
FORMATS: Final = (JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC)
ACCEPTED: Final = ", ".join(f.name for f in FORMATS[:-1]) + f" and {FORMATS[-1].name}"

_IMAGE_SIGNATURES: Final = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
)
#: Lengths of BMP information headers. The signature has only two letters, so one of these must follow.
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
#: General HEIF brands; the compatible brands that follow tell the format.
_HEIF_BRANDS: Final = frozenset({b"mif1", b"msf1"})

_ARCHIVE_SIGNATURES: Final[tuple[tuple[bytes, ArchiveKind], ...]] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty archive
    (b"PK\x07\x08", "zip"),  # the first of several parts
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_ARCHIVES: Final[dict[ArchiveKind, str]] = {
    "zip": "a ZIP archive",
    "tar": "a TAR archive",
    "gzip": "a GZIP archive",
    "bzip2": "a bzip2 archive",
    "xz": "an xz archive",
    "zstd": "a Zstandard archive",
}
_OTHER_SIGNATURES: Final = (
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript or EPS drawing"),
    (b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"\0\0\x01\xba", "an MPEG video"),
    (b"\0\0\x01\xb3", "an MPEG video"),
    (b"FLV\x01", "a Flash video"),
    (b"OggS", "an Ogg recording"),
    (b"ID3", "an MP3 recording"),
    (b"fLaC", "a FLAC recording"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"\0\0\x02\0", "a cursor (CUR)"),
    (b"qoif", "a QOI picture"),
    (b"DDS ", "a DDS texture"),
    (b"\x76\x2f\x31\x01", "an OpenEXR picture"),
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a program"),
)
_RIFF_KINDS: Final = {b"AVI ": "an AVI video", b"WAVE": "a WAV recording"}
_OLD_MOVIE_BOXES: Final = frozenset({b"moov", b"mdat", b"wide", b"skip"})


def sniff(head: bytes) -> Format:
    """Return the format of the image that begins with `head`, its first `HEAD_BYTES` or the whole of a shorter file.

    Raises ItemError: `empty_file`, or `unsupported_format` for anything but `FORMATS`. The message says what the file
    seems to be, if that is known, and which formats are accepted.
    """
    if not head:
        raise ItemError("empty_file", "This file is empty.")
    found = _image_format(head)
    if found is None:
        noun = describe(head)
        seems = f"This seems to be {noun}" if noun else "This is not a known picture format"
        raise ItemError("unsupported_format", f"{seems}. Accepted formats are {ACCEPTED}.")
    return found


def archive_kind(head: bytes) -> ArchiveKind | None:
    """Return the kind of archive that begins with `head` (its first `HEAD_BYTES`), or None for images and others."""
    if _image_format(head) is not None:
        return None
    for signature, kind in _ARCHIVE_SIGNATURES:
        if head.startswith(signature):
            return kind
    return "tar" if _is_tar(head) else None


def describe(head: bytes) -> str | None:
    """Return what a file that is not an accepted image seems to be, as a noun with its article, or None."""
    for signature, noun in _OTHER_SIGNATURES:
        if head.startswith(signature):
            return noun
    kind = archive_kind(head)
    if kind is not None:
        return _ARCHIVES[kind]
    return _container(head) or _text(head)


def _image_format(head: bytes) -> Format | None:
    for signature, found in _IMAGE_SIGNATURES:
        if head.startswith(signature):
            return None if head[8:10] == b"CR" and found is TIFF else found  # "CR": Canon's raw photos
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return BMP
    return _heif(head) if head[4:8] == b"ftyp" else None


def _heif(head: bytes) -> Format | None:
    """Return AVIF or HEIC by the brands of the `ftyp` box: the major brand, or a compatible one if that is general."""
    major = head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[i : i + 4] for i in range(16, end, 4)} if major in _HEIF_BRANDS else {major}
    if brands & _AVIF_BRANDS:
        return AVIF
    return HEIC if brands & _HEIC_BRANDS else None


def _is_tar(head: bytes) -> bool:
    """Return whether `head` is a tar header by its checksum: the sum of its bytes with the checksum field as blanks.

    This also detects the oldest tar format, which has no signature.
    """
    if len(head) < 512:
        return False
    try:
        stated = int(head[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return stated == sum(head[:148]) + 8 * ord(" ") + sum(head[156:512])


def _container(head: bytes) -> str | None:
    """Return what a RIFF, TIFF or ISO base media file that is not an accepted image seems to be, or None."""
    if head[:4] == b"RIFF":
        return _RIFF_KINDS.get(head[8:12])
    if head.startswith(b"II*\0"):
        return "a camera's raw photo"
    if b"%PDF-" in head:  # readers allow other bytes before it
        return "a PDF document"
    if head[4:8] == b"ftyp":
        return _base_media(head[8:12])
    return "a QuickTime video (MOV)" if head[4:8] in _OLD_MOVIE_BOXES else None


def _base_media(major: bytes) -> str:
    """Return what an ISO base media file with this major brand seems to be."""
    if major == b"crx ":
        return "a camera's raw photo"
    if major in _HEIF_BRANDS:
        return "a HEIF picture of an unusual kind"
    if major.startswith(b"M4A"):
        return "an M4A recording"
    return "a QuickTime video (MOV)" if major == b"qt  " else "an MP4 video"


def _text(head: bytes) -> str | None:
    """Return what kind of text `head` seems to be, or None."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # the byte order marks of UTF-16
        return "text"
    try:
        # Incremental, since the end of `head` may cut a character.
        text = getincrementaldecoder("utf-8-sig")().decode(head).lstrip().lower()
    except UnicodeDecodeError:
        return None
    if any(ord(c) < 32 and c not in "\t\n\r\f\x1b" for c in text):
        return None
    if text.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "a web page (HTML)"
    if "<svg" in text:
        return "an SVG drawing"
    return "an XML document" if text.startswith("<?xml") else "text"
