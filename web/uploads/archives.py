"""Read the files in a `.zip`, a `.tar`, or a compressed file. Names in the archive never become paths.

An entry that is refused fails alone; the other entries are still read. An archive that is a bomb as a whole is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from shared.images.formats import HEAD_BYTES, ArchiveKind, archive_kind
from web.uploads.archive_entries import READ_BYTES, Budget, Entry, Names, bad_archive
from web.uploads.compressed import unpacked, without_ending
from web.uploads.tar_archive import tar_entries
from web.uploads.zip_archive import zip_entries


def read_archive(
    file: IO[bytes], kind: ArchiveKind, budget: Budget, names: Names, filename: str, *, again: bool = False
) -> Iterator[Entry]:
    """Yield the files in the archive's order, without folders. Read an entry before the next one.

    A compressed file is a tar, or the only entry, whose name is `filename` without `.gz` and the like. A temporary file
    can be read once, unless it is to be read `again`.

    Raise ItemError("bad_archive") if the archive is malformed or cut short, TooLarge if the budget is exceeded.
    """
    with bad_archive("the archive is malformed"):
        if kind == "zip":
            yield from zip_entries(file, budget, names, again=again)
        elif kind == "tar":
            yield from tar_entries(file, budget, names)
        elif _is_tar(unpacked(file, kind).read(HEAD_BYTES)):
            yield from tar_entries(unpacked(file, kind), budget, names)
        else:
            budget.entry()
            yield Entry(without_ending(filename), _content(file, kind, budget))


def _is_tar(head: bytes) -> bool:
    return archive_kind(head) == "tar" or (len(head) == HEAD_BYTES and not any(head))  # a tar without entries


def _content(file: IO[bytes], kind: ArchiveKind, budget: Budget) -> Iterator[bytes]:
    with bad_archive("the file cannot be unpacked"):
        content = unpacked(file, kind)
        while chunk := content.read(READ_BYTES):
            budget.spend(len(chunk))
            yield chunk
