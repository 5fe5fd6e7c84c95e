"""Which kind of file bytes are, told from the bytes alone; a file's name never counts.

Pure functions of a file's first `HEAD_BYTES`. The accepted formats are few and widespread, and each is read by one
bounded decoder. EPS and PDF are programs, SVG pulls in other files, PSD is an editor's working file: never accepted.

Signatures: PNG (W3C PNG 5.2), JPEG (ITU-T T.81 B.1.1), GIF89a 17, TIFF 6.0 section 2 and BigTIFF, RIFF (WebP container
specification), BMP headers (Microsoft `BITMAPINFOHEADER` and its successors), ISO/IEC 14496-12 4.3 (`ftyp`),
ISO/IEC 23008-12 annex B (HEIF brands), the AVIF specification 6, PKWARE APPNOTE 4.3, POSIX.1-1988 (ustar), RFC 1952.
"""

from __future__ import annotations

from codecs import getincrementaldecoder
from dataclasses import dataclass
from typing import Final, Literal

from shared.domain.errors import ItemError

#: Bytes from the start of a file that tell what it is: one tar header block, the longest that is needed. Fewer are
#: fine where the file itself is shorter.
HEAD_BYTES: Final = 512

ArchiveKind = Literal["zip", "tar", "gzip"]


@dataclass(frozen=True)
class Format:
    """An accepted picture format: the `name` that people know, its `media_type`, and `pillow`, Pillow's id for it."""

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

#: Every accepted format, in the order in which sentences list them.
FORMATS: Final = (JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF, HEIC)
ACCEPTED: Final = ", ".join(f.name for f in FORMATS[:-1]) + f" and {FORMATS[-1].name}"

_PICTURES: Final = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"II+\0", TIFF),
    (b"MM\0+", TIFF),
)
#: Lengths of the BMP information headers. Two letters are a weak signature, so one of these must follow them.
_BMP_HEADERS: Final = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
#: Brands that only say "some HEIF picture"; the compatible brands behind them tell which.
_HEIF_BRANDS: Final = frozenset({b"mif1", b"msf1"})

_ARCHIVES: Final[tuple[tuple[bytes, ArchiveKind], ...]] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),  # an empty one
    (b"PK\x07\x08", "zip"),  # the first of several parts
    (b"\x1f\x8b\x08", "gzip"),
)
_OTHERS: Final = (
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript or EPS drawing"),
    (b"\xc5\xd0\xd3\xc6", "an EPS drawing"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"{\\rtf", "an RTF document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
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
    """The format of the file that begins with `head`, its first `HEAD_BYTES` (all of it where it is shorter).

    Raises ItemError: `empty_file` where there is no byte, `unsupported_format` where it is anything else than one of
    `FORMATS`; the sentence says what it seems to be, where that is recognisable, and what is accepted.
    """
    if not head:
        raise ItemError("empty_file", "This file is empty.")
    found = _picture(head)
    if found is None:
        noun = describe(head)
        seems = f"This seems to be {noun}" if noun else "This is no picture format that is known here"
        raise ItemError("unsupported_format", f"{seems}; accepted are {ACCEPTED}.")
    return found


def archive_kind(head: bytes) -> ArchiveKind | None:
    """Which archive begins with `head` (its first `HEAD_BYTES`): zip, tar or gzip, or None. A picture is never one."""
    if _picture(head) is not None:
        return None
    for signature, kind in _ARCHIVES:
        if head.startswith(signature):
            return kind
    return "tar" if _is_tar(head) else None


def describe(head: bytes) -> str | None:
    """What a file that is not an accepted picture seems to be, as a noun with its article; None where unknown."""
    for signature, noun in _OTHERS:
        if head.startswith(signature):
            return noun
    kind = archive_kind(head)
    if kind is not None:
        return f"a {kind.upper()} archive"
    return _container(head) or _text(head)


def _picture(head: bytes) -> Format | None:
    for signature, found in _PICTURES:
        if head.startswith(signature):
            return None if head[8:10] == b"CR" and found is TIFF else found  # "CR": Canon's raw photos
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return BMP
    return _heif(head) if head[4:8] == b"ftyp" else None


def _heif(head: bytes) -> Format | None:
    """AVIF or HEIC by the brands of the `ftyp` box: the major brand, or one behind it where that is a general one."""
    major = head[8:12]
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[i : i + 4] for i in range(16, end, 4)} if major in _HEIF_BRANDS else {major}
    if brands & _AVIF_BRANDS:
        return AVIF
    return HEIC if brands & _HEIC_BRANDS else None


def _is_tar(head: bytes) -> bool:
    """Whether a tar header stands first: the sum of its bytes, its checksum field as blanks, is what that field says.

    The sum tells the oldest kind too, which has no signature.
    """
    if len(head) < 512:
        return False
    try:
        stated = int(head[148:156].strip(b" \0"), 8)
    except ValueError:
        return False
    return stated == sum(head[:148]) + 8 * ord(" ") + sum(head[156:512])


def _container(head: bytes) -> str | None:
    """What is in a RIFF or ISO base media file that holds no accepted picture."""
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
    """What an ISO base media file with this major brand holds."""
    if major == b"crx ":
        return "a camera's raw photo"
    if major in _HEIF_BRANDS:
        return "a HEIF picture of an unusual kind"
    if major.startswith(b"M4A"):
        return "an M4A recording"
    return "a QuickTime video (MOV)" if major == b"qt  " else "an MP4 video"


def _text(head: bytes) -> str | None:
    """What kind of text `head` is, or None where it is none."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # the byte order marks of UTF-16
        return "text"
    try:
        # Incremental, so that a letter cut by the end of `head` is no fault.
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
