"""The Labels of imported pictures: lists as spreadsheets write them, and folders."""

from __future__ import annotations

import unicodedata

import pytest

from shared.datasets.labels_file import LabelsFile, is_labels_file, read_labels_file
from shared.domain.errors import DarkroomError, ItemError
from web.uploads.picture_labels import folder_label

LIST = "file,label\ncat/1.jpg,cat\n2.jpg,\n"


def labels_file(content: bytes, *names: str, at: str = "labels.csv") -> LabelsFile:
    return LabelsFile(read_labels_file(at, content), names)


def label(content: bytes, name: str, at: str = "labels.csv") -> str | None:
    found = labels_file(content, name, at=at).find(name)
    assert found is not None
    return found.label


def found_labels(lists: dict[str, str], *names: str) -> tuple[dict[str, str | None], list[str]]:
    """Return the Label of each picture that the lists name, and the errors."""
    lines = [line for at, rows in lists.items() for line in read_labels_file(at, f"file,label\n{rows}".encode())]
    labels = LabelsFile(lines, names)
    found = {name: labels.find(name) for name in names}
    return {name: line.label for name, line in found.items() if line}, [str(each) for each in labels.missing()]


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        LIST.encode("utf-8-sig"),
        LIST.encode("utf-16"),
        LIST.replace(",", ";").encode(),
        LIST.replace(",", "\t").encode(),
        LIST.replace("\n", "\r\n").encode(),
        LIST.replace("file,label", '"File", "LABEL"').encode(),
        LIST.replace("cat/1.jpg", r"cat\1.jpg").encode(),
        b"id,file,label,split,group\n1,cat/1.jpg,cat,,\n2,2.jpg,,test,1\n\n",
    ],
    ids=["plain", "bom", "utf-16", "semicolons", "tabs", "crlf", "header", "backslash", "more columns"],
)
def test_lists_as_programs_write_them(content: bytes) -> None:
    assert label(content, "cat/1.jpg") == "cat"
    assert label(content, "2.jpg") is None


def test_names_count_from_the_folder_of_the_list() -> None:
    assert label(LIST.encode(), "album/cat/1.jpg", at="album/labels.csv") == "cat"


def test_a_list_may_name_pictures_without_their_folder() -> None:
    assert label(b"file,label\n1.jpg,cat\n", "deep/down/1.jpg") == "cat"


def test_a_list_gives_no_label_to_pictures_of_other_folders() -> None:
    names = ("train/1.jpg", "test/1.jpg", "dog/1.jpg")
    assert found_labels({"train/labels.csv": "1.jpg,cat\n"}, *names) == ({"train/1.jpg": "cat"}, [])
    found, missing = found_labels({"train/labels.csv": "2.jpg,cat\n"}, "train/1.jpg", "test/2.jpg")
    assert (found, len(missing)) == ({}, 1)


def test_a_name_that_several_folders_have_is_reported() -> None:
    assert found_labels({"labels.csv": "1.jpg,cat\n"}, "1.jpg", "dog/1.jpg") == ({"1.jpg": "cat"}, [])
    found, (error,) = found_labels({"labels.csv": "1.jpg,cat\n"}, "cat/1.jpg", "dog/1.jpg")
    assert found == {}
    assert (
        error == "`labels.csv`, line 2: no file `1.jpg` in this archive, but in 2 of its folders: name the folder, too"
    )


def test_each_list_is_about_its_own_folder() -> None:
    lists = {
        "labels.csv": "2.jpg,owl\n",
        "train/labels.csv": "1.jpg,cat\n",
        "test/labels.csv": "1.jpg,dog\n3.jpg,dog\n",
    }
    found, (error,) = found_labels(lists, "train/1.jpg", "test/1.jpg", "test/2.jpg", "train/3.jpg")
    assert found == {"train/1.jpg": "cat", "test/1.jpg": "dog", "test/2.jpg": "owl"}
    assert error.startswith("`test/labels.csv`, line 3: no file `3.jpg`")


def test_lists_that_contradict_each_other_are_refused() -> None:
    lists = {"labels.csv": "a/1.jpg,cat\n", "a/labels.csv": "1.jpg,dog\n"}
    with pytest.raises(ItemError, match=r"`a/labels\.csv`, line 2: a/1\.jpg is 'dog' here and 'cat' in `labels\.csv`"):
        found_labels(lists, "a/1.jpg")


def test_decomposed_names_are_found() -> None:
    content = "file,label\nKäfer.jpg,Käfer\n".encode()
    assert label(content, unicodedata.normalize("NFD", "Käfer.jpg")) == "Käfer"


def test_labels_that_a_spreadsheet_would_run_are_read_as_they_were() -> None:
    assert label(b"file,label\n1.jpg,'=cat\n", "1.jpg") == "=cat"


def test_the_split_of_an_exported_dataset_is_read() -> None:
    found = labels_file(b"file,label,split,pinned\n1.jpg,cat,test,yes\n", "1.jpg").find("1.jpg")
    assert found is not None
    assert (found.split, found.pinned) == ("test", True)


def test_lines_without_a_picture_are_known() -> None:
    (missing,) = labels_file(b"file,label\n1.jpg,cat\n2.jpg,dog\n", "1.jpg").missing()
    assert missing.code == "missing_file"
    assert "line 3" in str(missing)
    assert missing.file == "2.jpg"


@pytest.mark.parametrize(
    ("content", "line", "named"),
    [
        (b"", "line 1", "file"),
        (b"name,kind\n1.jpg,cat\n", "line 1", "name, kind"),
        (b"file,label\n1.jpg,cat\n1.jpg,dog\n", "line 3", "dog"),
        (b"file,label\n1.jpg\n", "line 2", "label"),
        (b"file,label\n,cat\n", "line 2", "file"),
        (b"file,label,split\n1.jpg,cat,valid\n", "line 2", "valid"),
    ],
)
def test_wrong_lists_name_their_line(content: bytes, line: str, named: str) -> None:
    with pytest.raises(ItemError) as caught:
        read_labels_file("labels.csv", content)
    assert caught.value.code == "bad_labels"
    assert line in str(caught.value)
    assert named in str(caught.value)


def test_text_of_no_known_encoding_is_refused() -> None:
    with pytest.raises(DarkroomError, match=r"labels\.csv"):
        read_labels_file("labels.csv", b"file,label\n\xff\xfa\x80.jpg,cat\n")


@pytest.mark.parametrize(
    ("name", "label"),
    [("cats/1.jpg", "cats"), ("pets/cats/1.jpg", "cats"), (r"pets\cats\1.jpg", "cats"), ("1.jpg", None)],
)
def test_the_folder_that_holds_a_picture_is_its_label(name: str, label: str | None) -> None:
    assert folder_label(name) == label


def test_a_list_is_known_by_its_name_in_any_folder_and_case() -> None:
    assert [is_labels_file(name) for name in ("labels.csv", "a/Labels.CSV", "mylabels.csv")] == [True, True, False]
