"""A zip of a job's pictures in one folder per label, written while it is sent."""

from __future__ import annotations

import io
import re
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from shared.domain.entities import Item
from shared.domain.errors import NotFound
from shared.domain.file_names import BIDI_MARKS, UniqueNames, comparable

#: Bytes sent at a time, unless a single picture is larger.
CHUNK_BYTES = 256 * 1024
#: File in the zip that lists the items without a picture in it, and why.
LEFT_OUT = "left-out.txt"
#: Folder of the pictures whose answer is unknown.
UNKNOWN = "unknown"
#: Longest file name in bytes, and its extension in characters: Linux allows 255, Windows 260 for the whole path.
MAX_NAME, MAX_EXTENSION = 150, 10
#: Earliest time in a zip: 1980, in seconds since the epoch.
EARLIEST = 315_532_800
#: Characters that some system forbids in file names (control characters, those of Windows, lone surrogates), and
#: bidirectional marks.
UNSAFE = re.compile(rf'[\x00-\x1f\x7f<>:"|?*/\\\ud800-\udfff{BIDI_MARKS}]')
WINDOWS_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)

Picture = Callable[[str], bytes]


def zip_by_label(items: Iterable[Item], labels: tuple[str, ...], picture: Picture, at: float) -> Iterator[bytes]:
    """Yield the zip in chunks. `picture` returns the bytes that the job has under a name (`stored_as`), or raises
    NotFound.

    `at` is the modification time of all files, in seconds since the epoch. A picture's folder is its corrected label,
    else the label of its best prediction, or `unknown` if the answer is. Items without a label, or whose bytes are
    deleted, are listed in LEFT_OUT.
    Pictures are stored, not deflated, since their formats are compressed. Memory holds one picture and all names.
    """
    buffer, names, left_out = StreamBuffer(), UniqueNames(comparable), []
    names.add(LEFT_OUT)
    folders = [names.add(safe(label)) for label in labels]
    unknown = names.add(UNKNOWN)
    when = time.gmtime(max(at, EARLIEST))[:6]
    with zipfile.ZipFile(buffer, "w") as archive:
        for item in items:
            content, reason = _content(item, picture)
            if content is None:
                left_out.append(_one_line(f"{item.upload.filename}\t{item.upload.key}\t{item.state}\t{reason}"))
                continue
            folder = unknown if item.label is None else folders[item.label]
            name = names.add(f"{folder}/{safe(item.upload.filename)}")
            archive.writestr(zip_entry(name, when), content)
            if buffer.held >= CHUNK_BYTES:
                yield buffer.take()
        if left_out:
            archive.writestr(zip_entry(LEFT_OUT, when), "".join(f"{line}\r\n" for line in left_out))
    yield buffer.take()


def _content(item: Item, picture: Picture) -> tuple[bytes | None, str]:
    """Return the bytes of an item with a label or an unknown one, or None and the reason."""
    failure = item.outcome.failure if item.outcome else None
    if item.label is None and not item.unknown:
        return None, failure.detail if failure else "not classified"
    try:
        return picture(item.upload.stored_as), ""
    except NotFound:
        return None, "its bytes are deleted"


def zip_entry(name: str, when: tuple[int, ...]) -> zipfile.ZipInfo:
    """Return the header of a file of this name and modification time, in UTC."""
    entry = zipfile.ZipInfo(name, when)  # type: ignore[arg-type]
    entry.external_attr = 0o644 << 16
    return entry


def _one_line(line: str) -> str:
    """Return `line` without line breaks and lone surrogates."""
    return re.sub(r"[\r\n\x85\u2028\u2029\ud800-\udfff]", " ", line)


def safe(name: str) -> str:
    """Return the last part of a path as a file name that is valid on every system; the extension stays.

    Characters are composed (NFC): most systems do not compose them to show them, and macOS takes both forms for one.
    """
    clean = UNSAFE.sub("_", unicodedata.normalize("NFC", re.split(r"[/\\]", name)[-1])).strip(" .") or "picture"
    path = PurePosixPath(f"_{clean}" if WINDOWS_DEVICES.match(clean) else clean)
    extension = path.suffix[:MAX_EXTENSION]
    return path.stem.encode()[: MAX_NAME - len(extension.encode())].decode(errors="ignore").rstrip(" ") + extension


class StreamBuffer(io.BytesIO):
    """The end of a file that is written and sent in chunks; what was taken from it cannot be written again.

    `zipfile` seeks back to the start of an entry to write its size and checksum. Programs that unpack a stored entry
    from a stream need them there; to a file that cannot seek, `zipfile` would write them after the bytes.
    """

    _taken = 0

    def tell(self) -> int:
        """Return the position in the whole file."""
        return self._taken + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position that was not taken yet."""
        return self._taken + super().seek(offset - self._taken if whence == io.SEEK_SET else offset, whence)

    @property
    def held(self) -> int:
        """Bytes that were not taken yet."""
        return self.getbuffer().nbytes

    def take(self) -> bytes:
        """Return the held bytes and drop them."""
        content = self.getvalue()
        self._taken += len(content)
        super().seek(0)
        self.truncate(0)
        return content
