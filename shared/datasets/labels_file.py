"""`labels.csv`: a list of pictures and their Labels, as spreadsheets and other tools write it."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
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
    """A line of the list `source`. `label` is None if the picture is unlabelled, `split` and `pinned` if not given."""

    source: str
    line: int
    file: str
    label: str | None
    split: str | None = None
    pinned: bool | None = None

    @property
    def folder(self) -> str:
        """Return the folder that holds the list, with a `/` at its end, or an empty text."""
        return "".join(plain_name(self.source).rpartition("/")[:2])


class MissingFile(ItemError):
    """A line names a `file` that is not in the archive or folder, its `place`, or in `found` folders of it."""

    def __init__(self, line: Listed, found: int, place: str) -> None:
        more = f", but in {found} of its folders: name the folder, too" if found else ""
        super().__init__(
            "missing_file", f"`{line.source}`, line {line.line}: no file `{line.file}` in this {place}{more}"
        )
        self.file = line.file


class LabelsFile:
    """The lines of all `labels.csv` in an archive or folder, found by a picture's name."""

    def __init__(self, lines: Iterable[Listed] = (), names: Iterable[str] = ()) -> None:
        """Find the picture of each line among these `names`, which are all of the archive or folder.

        A name in a list counts from the folder that holds the list, or else from the top. If neither has the file, it
        is the only one of this name in the folders below. Raise ItemError (`bad_labels`) if two lists contradict.
        """
        self._lines: dict[str, Listed] = {}
        self._missing: list[tuple[Listed, int]] = []
        places = {plain_name(name) for name in names}
        by_file = defaultdict[str, list[str]](list)
        for place in sorted(places):
            by_file[place.rpartition("/")[2]].append(place)
        for line in lines:
            file = plain_name(line.file)
            exact = [place for place in (line.folder + file, file) if place in places][:1]
            found = exact or [place for place in by_file[file] if place.startswith(line.folder)]
            if len(found) == 1:
                self._give(found[0], line)
            else:
                self._missing.append((line, len(found)))

    def _give(self, place: str, line: Listed) -> None:
        other = self._lines.setdefault(place, line)
        if other.label != line.label:
            where = f"in `{other.source}`, line {other.line}"
            raise _bad(line.source, line.line, f"{place} is {line.label!r} here and {other.label!r} {where}")

    def find(self, name: str) -> Listed | None:
        """Return the line of a picture, or None if no list names it."""
        return self._lines.get(plain_name(name))

    def missing(self, place: str = "archive") -> list[MissingFile]:
        """Return an error for each line without a picture, in the order of the lists."""
        return [MissingFile(line, found, place) for line, found in self._missing]


def is_labels_file(name: str) -> bool:
    """Return whether a file in an archive is a list of labels."""
    return PurePosixPath(plain_name(name)).name.lower() == LABELS_FILE


def read_labels_file(name: str, content: bytes) -> list[Listed]:
    """Return the lines of the list `name`, one for each file. `content` is a CSV with columns `file` and `label`.

    Raise ItemError (`bad_labels`) if the text cannot be decoded, or a column or a value is missing or repeated.
    """
    try:
        lines = list(_lines(name, decode_text(content, f"`{name}`")))
    except InvalidRequest as error:
        raise ItemError("bad_labels", str(error)) from error
    first: dict[str, Listed] = {}
    for line in lines:
        other = first.setdefault(plain_name(line.file), line)
        if other.label != line.label:
            raise _bad(name, line.line, f"{line.file} is {line.label!r} here and {other.label!r} in line {other.line}")
    return list(first.values())


def _lines(source: str, text: str) -> Iterator[Listed]:
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    names = [name.strip().lower() for name in next(rows, [])]
    file, label = _column(source, names, FILE_COLUMNS), _column(source, names, LABEL_COLUMNS)
    split, pinned = (names.index(name) if name in names else None for name in ("split", "pinned"))
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        line = rows.line_num
        if len(row) <= max(file, label) or not row[file].strip():
            column = names[file if not row[file].strip() else label]
            raise _bad(source, line, f"it has no value in the column {column}")
        name, side = unescape_formula(row[file].strip()), _cell(row, split)
        if side is not None and side not in SPLITS:
            raise _bad(source, line, f"the split {side!r} is neither train nor test")
        yield Listed(source, line, name, _cell(row, label), side, _cell(row, pinned) == "yes" or None)


def _column(source: str, names: list[str], wanted: tuple[str, ...]) -> int:
    found = [names.index(name) for name in wanted if name in names]
    if not found:
        raise _bad(source, 1, f"it has no column {wanted[0]!r}; the columns are: {', '.join(names)[:200] or 'none'}")
    return found[0]


def _cell(row: list[str], column: int | None) -> str | None:
    return (unescape_formula(row[column].strip()) or None) if column is not None and column < len(row) else None


def plain_name(name: str) -> str:
    """Return a name in the form in which names are compared: NFC, with `/`, without `./` before it."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./").strip("/")


def _bad(source: str, line: int, detail: str) -> ItemError:
    return ItemError("bad_labels", f"`{source}`, line {line}: {detail}.")
