"""`labels.csv`: a list of pictures and their Labels, as spreadsheets and other tools write it."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from shared.domain.csv_cells import unescape_formula
from shared.domain.errors import InvalidRequest, ItemError
from shared.domain.text import decode_text

#: Name of the file in an archive or a folder that lists its pictures.
LABELS_FILE = "labels.csv"
#: Names of the columns, in lower case: the picture's file, and its Label.
FILE_COLUMNS, LABEL_COLUMNS = ("file", "filename", "path", "image"), ("label", "class", "tag")
#: What separates the columns: Excel writes semicolons in many countries.
DELIMITERS = ",;\t"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class Listed:
    """A line of a list of labels. `label` is None if the picture is unlabelled, `split` and `pinned` if not given."""

    line: int
    file: str
    label: str | None
    split: str | None = None
    pinned: bool | None = None


class MissingFile(ItemError):
    """A line names a `file` that is not in the archive or folder, its `place`."""

    def __init__(self, line: Listed, place: str) -> None:
        super().__init__("missing_file", f"`{LABELS_FILE}`, line {line.line}: no file `{line.file}` in this {place}")
        self.file = line.file


class LabelsFile:
    """The lines of a `labels.csv`, found by a picture's name in the archive or folder."""

    def __init__(self, lines: Sequence[Listed] = (), folder: str = "") -> None:
        """Names in the list count from `folder`, the one that holds the list, or from the archive's root."""
        self._folder = folder
        self._by_name = {plain_name(line.file): line for line in lines}
        self._missing = dict(self._by_name)

    def find(self, name: str) -> Listed | None:
        """Return the line of a picture, or None if the list does not name it."""
        plain = plain_name(name)
        inside = plain.removeprefix(self._folder + "/") if self._folder else plain
        for candidate in (plain, inside, plain.rpartition("/")[2]):
            if candidate in self._by_name:
                self._missing.pop(candidate, None)
                return self._by_name[candidate]
        return None

    def missing(self, place: str = "archive") -> list[MissingFile]:
        """Return an error for each line whose picture was not looked for so far, in the file's order."""
        return [MissingFile(line, place) for line in self._missing.values()]


def is_labels_file(name: str) -> bool:
    """Return whether a file in an archive is a list of labels."""
    return PurePosixPath(plain_name(name)).name.lower() == LABELS_FILE


def read_labels_file(name: str, content: bytes) -> LabelsFile:
    """Return the list in `content`, a CSV with a column `file` and a column `label`.

    Raise ItemError (`bad_labels`) if the text cannot be decoded, or a column or a value is missing or repeated.
    """
    try:
        lines = list(_lines(decode_text(content, f"`{LABELS_FILE}`")))
    except InvalidRequest as error:
        raise ItemError("bad_labels", str(error)) from error
    first: dict[str, Listed] = {}
    for line in lines:
        other = first.setdefault(plain_name(line.file), line)
        if other.label != line.label:
            raise _bad(line.line, f"{line.file} is {line.label!r} here and {other.label!r} in line {other.line}")
    return LabelsFile(lines, plain_name(name).rpartition("/")[0])


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
        raise _bad(1, f"it has no column {wanted[0]!r}; the columns are: {', '.join(names)[:200] or 'none'}")
    return found[0]


def _cell(row: list[str], column: int | None) -> str | None:
    return (unescape_formula(row[column].strip()) or None) if column is not None and column < len(row) else None


def _split(line: int, row: list[str], column: int | None) -> str | None:
    split = _cell(row, column)
    if split is not None and split not in SPLITS:
        raise _bad(line, f"the split {split!r} is neither train nor test")
    return split


def plain_name(name: str) -> str:
    """Return a name in the form in which names are compared: NFC, with `/`, without `./` before it."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./").strip("/")


def _bad(line: int, detail: str) -> ItemError:
    return ItemError("bad_labels", f"`{LABELS_FILE}`, line {line}: {detail}.")
