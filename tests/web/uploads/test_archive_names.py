"""Names in archives as people's programs write them."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib

import pytest

from shared.domain.errors import ItemError
from tests.fixtures.archives import UNIX, WINDOWS, raw_zip, tar_with
from web.uploads.archive_entries import Budget, Names
from web.uploads.archives import read_archive

#: The extra field with another name for one in the code page 850.
PATH = struct.pack("<HHBL", 0x7075, 5 + len("Größe – 猫.png".encode()), 1, zlib.crc32("Größe.png".encode("cp850")))
PATH += "Größe – 猫.png".encode()


def names_in(archive: bytes, kind, names: Names | None = None) -> list[str]:
    entries = read_archive(io.BytesIO(archive), kind, Budget(1 << 20, 100), names or Names(), "")
    return [entry.name for entry in entries if not entry.junk]


def in_zip(*names: str, encoding: str, system: int = WINDOWS, reading: Names | None = None) -> list[str]:
    return names_in(raw_zip(*((name.encode(encoding), b"-") for name in names), system=system), "zip", reading)


@pytest.mark.parametrize("name", ["Grüße/Jürgen.png", "Gru\u0308ße/Ju\u0308rgen.png", "写真/猫.png", "\U0001fae8.png"])
def test_utf8_without_the_flag_is_utf8(name):
    names = Names()
    assert in_zip(name, encoding="utf-8", system=UNIX, reading=names) == [name]
    assert not names.guessed


@pytest.mark.parametrize(
    ("encoding", "files"),
    [
        ("cp850", ["Größe.png", "señal Ø.png"]),
        ("cp437", ["Größe.png"]),
        ("cp932", ["写真/表示ソ.png", "写真/猫の写真.png"]),
        ("cp866", ["Новая папка/кошка.jpg"]),
        ("cp949", ["고양이/강아지.png", "한글.png"]),
        ("gbk", ["新建文件夹/猫.png", "图片1.png"]),  # the bytes of the second one are valid UTF-8
        ("big5", ["新資料夾/貓.png", "螢幕擷取畫面.png"]),
        ("cp1252", ["Köln – Dom.jpg", "Café.png"]),
        ("cp852", ["Zdjęcie łąka.jpg", "żółw.jpg"]),
    ],
)
def test_a_code_page_is_guessed_and_said(encoding, files):
    names = Names()
    assert in_zip(*files, encoding=encoding, reading=names) == files
    assert len(names.guessed) == 1


def test_a_hint_decides():
    for encoding, name in (("cp852", "čeština.png"), ("cp737", "Φωτογραφίες.png"), ("gbk", "图片1.png")):
        names = Names(encoding)
        assert in_zip(name, encoding=encoding, reading=names) == [name]
        assert not names.guessed
    assert in_zip("猫.png", encoding="utf-8", reading=Names("cp932")) == ["猫.png"]
    assert names_in(raw_zip((b"\xa5\xff.png", b"-")), "zip", Names("gbk")) == ["\ufffd\ufffd.png"]


def test_unicode_path_counts_if_it_belongs_to_the_name():
    archive = raw_zip((b"J?rgen ? ?.png", b"-"), unicode_path=["Jürgen – 猫.png"])
    assert names_in(archive, "zip") == ["Jürgen – 猫.png"]
    renamed = archive.replace(b"J?rgen ? ?.png", b"Joergen 12.png")
    assert names_in(renamed, "zip") == ["Joergen 12.png"]


def test_a_file_with_another_compression_is_named_and_fails_no_neighbour():
    archive = bytearray(raw_zip((b"a.png", b"1"), (b"b.png", b"2")))
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        archive[archive.find(signature) + method] = 9
    entries = read_archive(io.BytesIO(archive), "zip", Budget(1 << 20, 100), Names(), "")
    with pytest.raises(ItemError, match="compressed with deflate64, which cannot be read: use deflate"):
        b"".join(next(entries).chunks)
    assert b"".join(next(entries).chunks) == b"2"


def a_field(kind: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack("<HH", kind, len(content) if length is None else length) + content


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        (a_field(0x5455, b"\1\0", 500), "Größe.png"),  # a time, longer than all fields
        (a_field(0x7075, b"\1ab"), "Größe.png"),
        (a_field(0x7075, b"\1" + struct.pack("<L", zlib.crc32("Größe.png".encode("cp850"))) + b"\xff"), "Größe.png"),
        (PATH + a_field(0x5455, b"", 9), "Größe – 猫.png"),
        (a_field(0x9999, b"?") + PATH + b"\7", "Größe – 猫.png"),
    ],
)
def test_a_malformed_extra_field_costs_at_most_the_name_in_it(extra: bytes, name: str):
    archive = raw_zip(("Größe.png".encode("cp850"), b"1"), (b"other.png", b"2"), extra=extra)
    entries = read_archive(io.BytesIO(archive), "zip", Budget(1 << 20, 100), Names(), "")
    assert [(entry.name, b"".join(entry.chunks)) for entry in entries] == [(name, b"1"), ("other.png", b"2")]


def test_backslashes_separate_folders_in_a_zip_from_windows():
    entries = [(b"holiday\\", b""), (b"holiday\\day1\\", b""), (b"holiday\\day1\\cat.png", b"-")]
    entries += [(b"holiday\\Thumbs.db", b"-"), (b"holiday\\day1\\desktop.ini", b"-")]
    for system in (WINDOWS, UNIX):
        assert names_in(raw_zip(*entries, system=system), "zip") == ["holiday/day1/cat.png"]
    mixed = [(b"a/b\\c.png", b"-")]
    assert names_in(raw_zip(*mixed, system=UNIX), "zip") == ["a/b\\c.png"]
    assert names_in(raw_zip(*mixed, system=WINDOWS), "zip") == ["a/b/c.png"]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_latin1_in_a_tar_is_read(kind):
    """In PAX, Python writes such a name as `hdrcharset=BINARY`."""
    names = Names()
    files = ["M\udcfcller.png", "M\udcf6ller.png", "Müller.png", "long/" * 30 + "\udce9.png"]
    found = names_in(tar_with(*((name, b"-") for name in files), kind=kind), "tar", names)
    assert found == ["Müller.png", "Möller.png", "Müller.png", "long/" * 30 + "é.png"]
    assert names.guessed == {"cp1252"}


def test_backups_of_gnu_tar_hold_a_label_and_lists_of_folders():
    whole = bytearray(tar_with(("label", b""), ("folder", b""), ("a.png", b"-")))
    for at, kind in ((156, b"V"), (512 + 156, b"D")):
        whole[at : at + 1] = kind
        header = whole[at - 156 : at - 156 + 512]
        header[148:156] = b" " * 8
        whole[at - 8 : at] = b"%06o\0 " % sum(header)
    assert names_in(bytes(whole), "tar") == ["a.png"]


def test_a_name_that_is_not_utf8_though_it_is_flagged_so_fails_no_neighbour():
    archive = bytearray(raw_zip((b"M\xfcller.png", b"1"), ("猫.png".encode(), b"2")))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := archive.find(signature, place + 1)) >= 0:
            archive[place + flags + 1] |= 0x08  # bit 11
    names = Names("cp1252")
    entries = read_archive(io.BytesIO(archive), "zip", Budget(1 << 20, 100), names, "")
    assert [(entry.name, b"".join(entry.chunks)) for entry in entries] == [("Müller.png", b"1"), ("猫.png", b"2")]
