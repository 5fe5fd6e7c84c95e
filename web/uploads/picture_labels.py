"""The Labels of pictures that are imported into a Dataset.

The first of these that names a Label wins: the request's `label`, its part `labels`, a `labels.csv` in the archive, the
name of the folder that holds the picture.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from shared.datasets.names import label_name
from shared.domain.csv_cells import unescape_formula
from shared.domain.entities import Upload
from shared.domain.errors import InvalidRequest, ItemError
from shared.domain.text import decode_text

#: Name of the file in an archive that lists its pictures.
LABELS_FILE = "labels.csv"
#: Bytes of a list of labels: 100,000 lines of 160 characters.
MAX_LABELS_BYTES = 16 * 1024 * 1024
#: Names of the columns, in lower case: the picture's file, and its Label.
FILE_COLUMNS, LABEL_COLUMNS = ("file", "filename", "path", "image"), ("label", "class", "tag")
#: What separates the columns: Excel writes semicolons in many countries.
DELIMITERS = ",;\t"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Labelling:
    """How the pictures of a request get their Labels. `label` is a valid name, for all of them."""

    label: str | None = None
    use_folders: bool = True

    def apply(self, upload: Upload, listed: Listed | None) -> Upload:
        """Return the upload with its Label and split; None if there is none. Raise ItemError (`bad_label`)."""
        label = self.label
        if label is None and listed is not None:
            label = valid_label(listed.label)
        elif label is None and self.use_folders:
            label = valid_label(folder_label(upload.filename))
        if listed is None:
            return replace(upload, label=label)
        return replace(upload, label=label, split=listed.split, pinned=listed.pinned)


@dataclass(frozen=True)
class Listed:
    """A line of a list of labels. `label` is None if the picture is unlabelled, `split` and `pinned` if not given."""

    line: int
    file: str
    label: str | None
    split: str | None = None
    pinned: bool | None = None


class MissingFile(ItemError):
    """A line names a `file` that is not in the archive."""

    def __init__(self, line: Listed) -> None:
        super().__init__("missing_file", f"`{LABELS_FILE}`, line {line.line}: no file `{line.file}` in this archive")
        self.file = line.file


class LabelsFile:
    """The lines of a `labels.csv`, found by a picture's name in the archive."""

    def __init__(self, lines: Sequence[Listed] = (), folder: str = "") -> None:
        """Names in the list count from `folder`, the one that holds the list, or from the archive's root."""
        self._folder = folder
        self._by_name = {_plain(line.file): line for line in lines}
        self._missing = dict(self._by_name)

    def find(self, name: str) -> Listed | None:
        """Return the line of a picture, or None if the list does not name it."""
        plain = _plain(name)
        inside = plain.removeprefix(self._folder + "/") if self._folder else plain
        for candidate in (plain, inside, plain.rpartition("/")[2]):
            if candidate in self._by_name:
                self._missing.pop(candidate, None)
                return self._by_name[candidate]
        return None

    def missing(self) -> list[MissingFile]:
        """Return an error for each line whose picture was not looked for so far, in the file's order."""
        return [MissingFile(line) for line in self._missing.values()]


def valid_label(name: str | None) -> str | None:
    """Return the name as it is stored, or None if it is empty. Raise ItemError (`bad_label`) if it is not allowed."""
    if name is None or not name.strip():
        return None
    try:
        return label_name(name)
    except InvalidRequest as error:
        raise ItemError("bad_label", str(error)) from error


def is_labels_file(name: str) -> bool:
    """Return whether a file in an archive is a list of labels."""
    return PurePosixPath(_plain(name)).name.lower() == LABELS_FILE


def read_labels_file(name: str, content: bytes) -> LabelsFile:
    """Return the list in `content`, a CSV with a column `file` and a column `label`.

    Raise ItemError (`bad_labels`) if the text cannot be decoded, or a column or a value is missing or repeated.
    """
    lines = list(_lines(decode_text(content, LABELS_FILE)))
    first: dict[str, Listed] = {}
    for line in lines:
        other = first.setdefault(_plain(line.file), line)
        if other.label != line.label:
            raise _bad(line.line, f"{line.file} is {line.label!r} here and {other.label!r} in line {other.line}")
    return LabelsFile(lines, _plain(name).rpartition("/")[0])


def folder_label(name: str) -> str | None:
    """Return the name of the folder that holds a picture, or None if it lies in no folder."""
    return PurePosixPath(_plain(name)).parent.name or None


def _lines(text: str) -> Iterator[Listed]:
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    names = [name.strip().lower() for name in next(rows, [])]
    file, label = _column(names, FILE_COLUMNS), _column(names, LABEL_COLUMNS)
    split, pinned = (names.index(name) if name in names else None for name in ("split", "pinned"))
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        line = rows.line_num
        if len(row) <= max(file, label) or not row[file].strip():
            raise _bad(line, f"it has no value in the column {names[file if not row[file].strip() else label]}")
        name = unescape_formula(row[file].strip())
        yield Listed(line, name, _cell(row, label), _split(line, row, split), _cell(row, pinned) == "yes" or None)


def _column(names: list[str], wanted: tuple[str, ...]) -> int:
    found = [names.index(name) for name in wanted if name in names]
    if not found:
        raise _bad(1, f"there is no column {wanted[0]!r}; the columns are: {', '.join(names)[:200] or 'none'}")
    return found[0]


def _cell(row: list[str], column: int | None) -> str | None:
    return (unescape_formula(row[column].strip()) or None) if column is not None and column < len(row) else None


def _split(line: int, row: list[str], column: int | None) -> str | None:
    split = _cell(row, column)
    if split is not None and split not in SPLITS:
        raise _bad(line, f"the split {split!r} is neither train nor test")
    return split


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./").strip("/")


def _bad(line: int, detail: str) -> ItemError:
    return ItemError("bad_labels", f"`{LABELS_FILE}`, line {line}: {detail}.")
