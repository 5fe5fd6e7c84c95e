"""Read the files in a `.tar`."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterator
from tarfile import InvalidHeaderError, ReadError  # type: ignore[attr-defined]  # exists, but is not in the types
from typing import IO, Self, cast

from shared.domain.errors import ItemError
from shared.domain.junk import is_junk
from shared.domain.name_encodings import UNIX_ENCODINGS
from web.uploads.archive_entries import READ_BYTES, Budget, Entry, LimitedReader, Names, bad_archive, check_name

#: Bytes read into memory at most for the headers of one entry (long names and PAX headers).
MAX_HEADERS = 1024 * 1024
#: Types of GNU tar that stand for no file: the content of a folder, in a backup, and the label of the archive.
NO_FILES = {b"D", b"V"}


def tar_entries(file: IO[bytes] | io.BufferedIOBase, budget: Budget, names: Names) -> Iterator[Entry]:
    """Yield the files of a tar; folders are left out. Errors are those of `read_archive`."""
    limited = LimitedReader(file, MAX_HEADERS)
    options = {"mode": "r:", "encoding": "utf-8", "errors": "surrogateescape", "tarinfo": _Header}
    with tarfile.open(fileobj=cast(IO[bytes], limited), **options) as archive:  # type: ignore[call-overload]
        for place, member in enumerate(_members(archive, limited)):
            budget.check_entries(place // 2)  # folders and system files too, as in a zip
            budget.spend(member.size)
            if member.isdir() or member.type in NO_FILES:
                continue
            (name,) = names.decoded([member.name.encode(errors="surrogateescape")], UNIX_ENCODINGS)
            if is_junk(name):
                yield Entry(name, iter(()), junk=True)
            else:
                budget.entry()
                target = _path(member.linkname) if member.islnk() else None
                yield Entry(name, _content(archive, member, name, limited), path=_path(member.name), target=target)


class _Header(tarfile.TarInfo):
    """A header that is refused if it is invalid: tarfile takes any but the first one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except InvalidHeaderError as error:
            raise ReadError(str(error)) from error


def _members(archive: tarfile.TarFile, limited: LimitedReader) -> Iterator[tarfile.TarInfo]:
    """Yield every entry, and make tarfile forget it. Raise ReadError if a negative size leads backwards."""
    while (member := archive.next()) is not None:
        archive.members, archive.pax_headers = [], {}  # type: ignore[attr-defined]  # undocumented, measured in a test
        if member.size < 0:
            raise ReadError("an entry has a negative size")
        limited.renew()
        yield member
        limited.renew()


def _path(name: str) -> str:
    """Return the same text for all ways to write a path, such as `./a` and `a`."""
    return posixpath.normpath(name).lstrip("/")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, name: str, limited: LimitedReader) -> Iterator[bytes]:
    check_name(name)
    if member.islnk():
        return
    if not member.isreg():
        raise ItemError("not_a_file", "this entry in the archive is a symbolic link or a device, not a file")
    with bad_archive("this file in the archive is malformed"):
        content = archive.extractfile(member)
        while content is not None and (chunk := content.read(READ_BYTES)):
            limited.renew()
            yield chunk
