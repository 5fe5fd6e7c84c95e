"""The files that are to be sent: found in folders, told from other files by their content, one at a time."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.domain.errors import ItemError
from shared.images.formats import HEAD_BYTES, archive_kind, sniff

#: What can be sent: a path of a picture, an archive or a folder; the bytes of a picture or an archive; or a name and
#: bytes.
Source = str | os.PathLike[str] | bytes | tuple[str, bytes]
#: Names of archives in a folder. Other files begin like archives too: documents of office programs, models.
ARCHIVE_NAMES = (".zip", ".tar", ".tar.gz", ".tgz")
#: Characters of a file's name that its key shows; with the digest behind them a key has at most 121.
KEY_NAME = 100
#: Hexadecimal digits of that digest: 80 bits, so that 100,000 files have keys of their own.
KEY_DIGITS = 20


@dataclass(frozen=True)
class File:
    """One file to be sent. `name` is as the user gave it; `key` is its own in a job, and the same in a second run."""

    name: str
    key: str
    size: int
    archive: bool
    open: Callable[[], IO[bytes]]


#: Called with the name of a file that is not sent, and why.
Skipped = Callable[[str, str], None]


def find(sources: Iterable[Source], skipped: Callable[[str], None] = lambda _name: None) -> Iterator[File]:
    """The files to send, as they are found; folders with all that is in them, in the order of the names.

    Hidden files of a folder are left out silently, other files that are no pictures with a call of `skipped`. One that
    cannot be read is found, and opening it raises OSError. A source that cannot be read raises it here.
    """
    for number, source in enumerate(sources, 1):
        if isinstance(source, bytes):
            yield from_bytes(f"picture-{number}", source)
        elif isinstance(source, tuple):
            yield from_bytes(*source)
        elif Path(source).is_dir():
            yield from _in_folder(os.fspath(source), skipped)
        else:
            yield from_path(os.fspath(source))


def from_bytes(name: str, content: bytes) -> File:
    """A picture or an archive in memory."""
    key = _key(name, hashlib.sha256(content).hexdigest())
    return File(name, key, len(content), archive_kind(content[:HEAD_BYTES]) is not None, lambda: io.BytesIO(content))


def from_path(path: str, name: str = "") -> File:
    """A file that was named: whether it is a picture, the service says. Raises OSError."""
    state, head = _look(path)
    return _file(path, state, archive=archive_kind(head) is not None, name=name)


def _in_folder(folder: str, skipped: Callable[[str], None]) -> Iterator[File]:
    next(Path(folder).iterdir(), None)  # raises OSError where the folder itself cannot be read
    closed: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield from _in_folder_file(str(Path(place, name)), skipped)
    yield from (_unreadable(error.filename, error) for error in closed)


def _in_folder_file(path: str, skipped: Callable[[str], None]) -> Iterator[File]:
    try:
        state, head = _look(path)
        archive = path.lower().endswith(ARCHIVE_NAMES) and archive_kind(head) is not None
        if not archive:
            sniff(head)
    except OSError as error:
        yield _unreadable(path, error)
    except ItemError:
        skipped(path)
    else:
        yield _file(path, state, archive=archive)


def _look(path: str) -> tuple[os.stat_result, bytes]:
    """A file's size and times, and its first bytes. Raises OSError, also for what is no file: opening a pipe waits."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "not a file", path)
    with Path(path).open("rb") as file:
        return os.fstat(file.fileno()), file.read(HEAD_BYTES)


def _file(path: str, state: os.stat_result, *, archive: bool, name: str = "") -> File:
    # The size and the time are part of the key, so that a file which changed before an upload goes on is sent anew.
    key = _key(name or path, f"{state.st_size} {state.st_mtime_ns}")
    return File(name or path, key, state.st_size, archive, lambda: Path(path).open("rb"))


def _unreadable(path: str, error: OSError) -> File:
    def fail() -> IO[bytes]:
        raise error

    return File(path, _key(path, ""), 0, archive=False, open=fail)


def _key(name: str, version: str) -> str:
    digest = hashlib.sha256(f"{name}\n{version}".encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]
    return f"{re.sub('[^A-Za-z0-9._-]+', '-', name)[-KEY_NAME:]}-{digest}"
