"""The zip of a job: its names, its memory, and sizes before the bytes."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.entities import Failure, Item, ItemState, Outcome, Prediction, Upload
from shared.domain.errors import NotFound
from shared.domain.file_names import UniqueNames, comparable
from web.downloads.zip_export import LEFT_OUT, safe, zip_by_label

LABELS = ("cat", "dog", "../odd")
FAILED = Outcome(ItemState.FAILED, failure=Failure("undecodable", "This picture\nis broken."))


def item(key: str, filename: str, label: int | None = 0, correction: int | None = None) -> Item:
    outcome = FAILED if label is None else Outcome(ItemState.SUCCEEDED, (Prediction(label, 0.9),))
    return Item(Upload(key, filename, 3, key), 0.0, outcome, correction)


def zipped(items: list[Item], picture=str.encode, at: float = 1e9) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(zip_by_label(items, LABELS, picture, at))))


def test_folder_is_the_label_or_its_correction() -> None:
    archive = zipped([item("a", "x/one.png"), item("b", "one.png", 0, 1), item("c", "ONE.png"), item("d", "e.png", 2)])
    found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {"cat/one.png": b"a", "dog/one.png": b"b", "cat/ONE (2).png": b"c", "odd/e.png": b"d"}
    assert archive.testzip() is None
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert not any(info.flag_bits & 0x08 for info in archive.infolist()), "size and checksum stand before the bytes"
    assert archive.infolist()[0].date_time[0] == 2001


def test_unknown_pictures_have_a_folder_of_their_own() -> None:
    """Beside that of a label which is called so; a corrected one is known."""
    odd = Outcome(ItemState.SUCCEEDED, (Prediction(0, 0.3),), unknown=True)
    items = [Item(Upload(key, "a.png", 3, key), 0.0, odd, correction) for key, correction in (("a", None), ("b", 1))]
    for labels, folder in ((("cat", "dog"), "unknown"), (("unknown", "dog"), "unknown (2)")):
        names = zipfile.ZipFile(io.BytesIO(b"".join(zip_by_label(items, labels, str.encode, 0)))).namelist()
        assert names == [f"{folder}/a.png", "dog/a.png"]


def test_two_forms_of_a_name_are_two_files_on_every_system() -> None:
    nfd, nfc = "Gru\u0308ße.png", "Grüße.png"
    assert zipped([item("a", nfd), item("b", nfc)]).namelist() == ["cat/Grüße.png", "cat/Grüße (2).png"]
    assert zipped([item("a", "\U0001fae8.png"), item("b", "\uf8ff\u200d.png")]).namelist() == [
        "cat/\U0001fae8.png", "cat/\uf8ff\u200d.png",
    ]  # fmt: skip


def test_labels_that_differ_in_case_only_have_two_folders() -> None:
    labels = ("Cat", "cat", "left-out.txt")
    items = [item(str(index), "a.png", index) for index in range(3)]
    chunks = zip_by_label(items, labels, str.encode, 0)
    names = zipfile.ZipFile(io.BytesIO(b"".join(chunks))).namelist()
    assert names == ["Cat/a.png", "cat (2)/a.png", "left-out (2).txt/a.png"]


def test_items_without_label_or_bytes_are_listed() -> None:
    def picture(sha256: str) -> bytes:
        if sha256 == "lost":
            raise NotFound("not stored")
        return b"-"

    broken = item("k1", "a\nb.png", None)
    cancelled = Item(Upload("k2", "c.png", 1, "c"), 0.0, Outcome(ItemState.CANCELLED))
    archive = zipped([item("a", "a.png"), broken, cancelled, item("lost", "d.png")], picture)
    assert archive.namelist() == ["cat/a.png", LEFT_OUT]
    assert archive.read(LEFT_OUT).decode().splitlines() == [
        "a b.png\tk1\tfailed\tThis picture is broken.",
        "c.png\tk2\tcancelled\tnot classified",
        "d.png\tlost\tsucceeded\tits bytes are deleted",
    ]


def test_job_without_results_is_an_empty_zip() -> None:
    assert zipped([], at=0).namelist() == []


def test_memory_holds_one_picture_at_a_time() -> None:
    size, count = 1024 * 1024, 40
    items = [item(str(number), f"{number}.png") for number in range(count)]
    tracemalloc.start()
    written = sum(len(piece) for piece in zip_by_label(items, LABELS, lambda _: bytes(size), 0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert written > count * size
    assert peak < 6 * size


ODD = ["..", ".", "", "/", "a/../b.png", "C:\\x\\con.png", "nul", "a" * 400 + ".jpeg", "🐈" * 200 + ".png", " .x. "]


@example(["\u00a0", "\u3000.png"])
@example(ODD)
@given(st.lists(st.sampled_from(ODD) | st.text(st.characters(exclude_categories=())), max_size=20))
def test_names_become_safe_and_unique(names: list[str]) -> None:
    unique = UniqueNames(comparable)
    paths = [unique.add(f"cat/{safe(name)}") for name in names]
    assert len({comparable(path) for path in paths}) == len(names)
    for path in paths:
        folder, name = path.split("/")
        assert folder == "cat" and name not in ("", ".", "..") and len(name.encode()) < 200
        assert PurePosixPath(name).name == PureWindowsPath(name).name == name
        assert not PureWindowsPath(name).is_reserved()
