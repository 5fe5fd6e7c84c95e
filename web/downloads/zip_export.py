"""A zip of a job's pictures, sorted into folders by label, made while it is sent."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from shared.domain.entities import Item
from shared.domain.errors import NotFound

#: Bytes that are sent in one piece, where no single picture has more.
PIECE_BYTES = 256 * 1024
#: Lists what is in no folder, and why.
LEFT_OUT = "left-out.txt"
#: Bytes of a file's name, and characters of its ending: Linux takes 255, Windows 260 with the whole way to the file.
MAX_NAME, MAX_ENDING = 150, 10
#: The first moment that a zip can name: 1980, in s since the epoch.
FIRST_MOMENT = 315_532_800
#: What some system allows in no name: control characters, what Windows forbids, half a surrogate pair; and characters
#: that turn the order of what is shown around, so that a name looks like another one.
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*/\\\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]')
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)

Picture = Callable[[str], bytes]


def zip_by_label(items: Iterable[Item], labels: tuple[str, ...], picture: Picture, at: float) -> Iterator[bytes]:
    """The zip in pieces. `picture` gives the bytes of a digest or raises NotFound; `at` is the time of each file (s).

    A picture's folder is the label that it was corrected to, else that of its best prediction. What has neither, or is
    not stored any more, is listed in LEFT_OUT. Pictures are stored, not deflated: they are compressed already. Memory
    holds one picture at a time, and the names of all.
    """
    window, names, left_out = Window(), Names(), []
    when = time.gmtime(max(at, FIRST_MOMENT))[:6]
    with zipfile.ZipFile(window, "w") as archive:
        for item in items:
            content, reason = _content(item, picture)
            if content is None or item.label is None:
                left_out.append(f"{item.upload.filename}\t{item.upload.key}\t{item.state}\t{reason}")
                continue
            name = names.take(safe(labels[item.label]), safe(item.upload.filename))
            archive.writestr(_entry(name, when), content)
            if window.held >= PIECE_BYTES:
                yield window.take()
        if left_out:
            archive.writestr(_entry(LEFT_OUT, when), "".join(f"{_plain(line)}\r\n" for line in left_out))
    yield window.take()


def _content(item: Item, picture: Picture) -> tuple[bytes | None, str]:
    """The bytes of an item that has a label, or None and why not."""
    failure = item.outcome.failure if item.outcome else None
    if item.label is None:
        return None, failure.detail if failure else "it was not looked at"
    try:
        return picture(item.upload.sha256), ""
    except NotFound:
        return None, "its bytes are not stored any more"


def _entry(name: str, when: tuple[int, ...]) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, when)  # type: ignore[arg-type]
    entry.external_attr = 0o644 << 16
    return entry


def _plain(line: str) -> str:
    """One line, whatever a name holds."""
    return re.sub(r"[\r\n\x85\u2028\u2029\ud800-\udfff]", " ", line)


def safe(name: str) -> str:
    """The last part of a path as a name that every system takes, with its ending."""
    clean = UNSAFE.sub("_", re.split(r"[/\\]", name)[-1]).strip(" .") or "picture"
    path = PurePosixPath(f"_{clean}" if DEVICES.match(clean) else clean)
    ending = path.suffix[:MAX_ENDING]
    return path.stem.encode()[: MAX_NAME - len(ending.encode())].decode(errors="ignore").rstrip() + ending


class Names:
    """Gives each file in a folder a name of its own, also for systems that take A and a for the same letter."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def take(self, folder: str, name: str) -> str:
        """`folder/name`, or `folder/name (2)` with the same ending, and so on."""
        wanted = f"{folder}/{name}"
        if self._is_new(wanted):
            return wanted
        stem, dot, ending = name.rpartition(".")
        while True:
            number = self._last[wanted.casefold()] = self._last[wanted.casefold()] + 1
            other = f"{folder}/{stem} ({number}).{ending}" if dot else f"{folder}/{name} ({number})"
            if self._is_new(other):
                return other

    def _is_new(self, path: str) -> bool:
        known = path.casefold()
        if known in self._last:
            return False
        self._last[known] = 1
        return True


class Window(io.RawIOBase):
    """A file of which only the end is held: what was taken is gone, and cannot be written again.

    `zipfile` goes back to the beginning of an entry when it knows its size and checksum. So an entry's header has them,
    as programs need that unpack a stored entry from a stream; a file that cannot go back would have them behind it.
    """

    def __init__(self) -> None:
        self._end = io.BytesIO()
        self._taken = 0

    def seekable(self) -> bool:
        """Yes, within what is held."""
        return True

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The place in the whole file."""
        return self._taken + self._end.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place that is still held."""
        return self._taken + self._end.seek(offset - self._taken if whence == io.SEEK_SET else offset, whence)

    def write(self, data: Any) -> int:
        """Write at the place."""
        return self._end.write(data)

    @property
    def held(self) -> int:
        """Bytes that were not taken yet."""
        return self._end.getbuffer().nbytes

    def take(self) -> bytes:
        """What is held; from now on it is not."""
        content = self._end.getvalue()
        self._taken += len(content)
        self._end = io.BytesIO()
        return content
