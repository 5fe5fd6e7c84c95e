"""A zip of a Dataset, written while it is sent: a folder for each Label, and a table for a later import."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator

from shared.datasets.entities import Picture
from shared.domain.csv_cells import escape_formula
from shared.domain.errors import NotFound
from shared.domain.file_names import UniqueNames, comparable
from web.downloads.zip_export import CHUNK_BYTES, EARLIEST, StreamBuffer, safe, zip_entry

#: The table in the zip, and its columns. The file's folder is not always its Label: file systems forbid some names.
TABLE = "labels.csv"
COLUMNS = ("id", "file", "label", "split", "group", "pinned")


def dataset_zip(
    pictures: Iterable[tuple[Picture, str | None]], read: Callable[[Picture], bytes], at: float
) -> Iterator[bytes]:
    """Yield the zip in chunks. `pictures` have the names of their Labels; `read` returns the bytes or raises NotFound.

    `at` is the modification time of all files, in seconds since the epoch. Pictures without a Label are in no folder;
    those that are deleted in the meantime are left out. Memory holds one picture, all names and the table.
    """
    buffer, names, folders = StreamBuffer(), UniqueNames(comparable), dict[str, str]()
    names.add(TABLE)
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(COLUMNS)
    when = time.gmtime(max(at, EARLIEST))[:6]
    with zipfile.ZipFile(buffer, "w") as archive:
        for picture, label in pictures:
            try:
                content = read(picture)
            except NotFound:
                continue
            if label is not None and label not in folders:
                folders[label] = names.add(safe(label))
            name = names.add(("" if label is None else f"{folders[label]}/") + safe(picture.filename))
            archive.writestr(zip_entry(name, when), content)
            rows.writerow(_row(picture, name, label))
            if buffer.held >= CHUNK_BYTES:
                yield buffer.take()
        archive.writestr(zip_entry(TABLE, when), table.getvalue())
    yield buffer.take()


def _row(picture: Picture, name: str, label: str | None) -> list[object]:
    pinned = "yes" if picture.pinned else ""
    return [picture.n, escape_formula(name), escape_formula(label or ""), picture.split or "", picture.group, pinned]
