"""Files to send. In folders, images are recognized by their content."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from cli.client.errors import NotSent
from shared.datasets.labels_file import LABELS_FILE, LabelsFile, read_labels_file
from shared.domain.errors import ItemError
from shared.domain.junk import is_junk
from shared.images.formats import HEAD_BYTES, archive_kind, sniff

#: The path of a picture, an archive or a folder; the bytes of a picture or an archive; or a pair of a name and bytes.
Source = str | os.PathLike[str] | bytes | tuple[str, bytes]
#: Names of archives and compressed pictures in folders. By their content, office documents and models are archives too.
ARCHIVE_NAME = re.compile(
    r"\.(zip|tar|t(gz|bz2?|xz|zst)|(tar|jpe?g|png|webp|gif|bmp|tiff?|avif|hei[cf])\.(gz|bz2|xz|zst))$", re.IGNORECASE
)
#: Characters of a file's name in its key; with the digest a key has at most 121.
KEY_NAME_LENGTH = 100
#: Hexadecimal digits of that digest: 80 bits, so that the keys of 100,000 files differ.
KEY_DIGITS = 20


@dataclass(frozen=True)
class File:
    """One file to send. `name` is as the user gave it; `key` is unique in a job, and the same in a second run.

    `label` is what a `labels.csv` in its folder says.
    """

    name: str
    key: str
    size: int
    archive: bool
    open: Callable[[], IO[bytes]]
    label: str | None = None


def find(
    sources: Iterable[Source], skipped: Callable[[str], None] = lambda _name: None, *, relative: bool = False
) -> Iterator[File]:
    """Yield the files to send; folders recursively, sorted by name.

    Names are paths as they were given. If `relative`, they begin below the source, so that a folder in them is a Label:
    a picture that lies in the source itself is in no folder then, unless the source has neither folders
    nor a `labels.csv`: it is one itself.
    The lines of a `labels.csv` in the source come first; one without a file is yielded, and opening it raises OSError.

    In folders, hidden files are ignored, and `skipped` is called with each file that is not an image, or that an
    operating system or a photo program has added. A file in a folder that cannot be read is yielded, and opening it
    raises OSError. Raises OSError for a source that cannot be read, and NotSent for such a list.
    """
    for number, source in enumerate(sources, 1):
        if isinstance(source, bytes):
            yield from_bytes(f"picture-{number}", source)
        elif isinstance(source, tuple):
            yield from_bytes(*source)
        else:
            path = os.fspath(source)
            files = _in_folder(path, skipped) if Path(path).is_dir() else iter([from_path(path)])
            yield from _labelled(Path(path, LABELS_FILE), _below(_top(path), files)) if relative else files


def from_bytes(name: str, content: bytes) -> File:
    """Return a File for a picture or an archive in memory."""
    key = _key(name, hashlib.sha256(content).hexdigest())
    return File(name, key, len(content), archive_kind(content[:HEAD_BYTES]) is not None, lambda: io.BytesIO(content))


def from_path(path: str, name: str = "") -> File:
    """Return a File for a path, whether or not it is an image: the service will tell. Raises OSError."""
    state, head = _stat_and_head(path)
    return _file(path, state, archive=archive_kind(head) is not None, name=name)


def _in_folder(folder: str, skipped: Callable[[str], None]) -> Iterator[File]:
    next(Path(folder).iterdir(), None)  # raises OSError if the folder itself cannot be read
    unreadable: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = os.path.join(place, name)  # noqa: PTH118  much faster for many files
            if is_junk(os.path.relpath(path, folder)):
                skipped(path)
            elif not name.startswith("."):
                yield from _in_folder_file(path, skipped)
    yield from (_unreadable(error.filename, error) for error in unreadable)


def label_of(folder: str) -> str | None:
    """Return the label that a folder itself is for the pictures in it, or None if there are folders in it."""
    here = Path(os.path.normpath(Path(folder).absolute()))
    return here.name if here.is_dir() and _top(folder) != Path(folder).absolute() else None


def _top(source: str) -> Path:
    """Return the folder from which names below the source are relative."""
    here = Path(source).absolute()
    inside = here.iterdir() if here.is_dir() else iter(())
    return (
        here
        if any(path.name == LABELS_FILE or _can_be_label(path) for path in inside)
        else Path(os.path.normpath(here)).parent
    )


def _can_be_label(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and not is_junk(f"{path.name}/x")


def _below(top: Path, files: Iterable[File]) -> Iterator[File]:
    return (replace(file, name=os.path.relpath(file.name, top)) for file in files)


def _labelled(path: Path, files: Iterable[File]) -> Iterator[File]:
    """Yield the files with the labels that the list at `path`, if there is one, has for them."""
    labels = LabelsFile()
    if path.is_file():
        files = list(files)
        labels = _read_labels(path, files)
    for file in files:
        listed = labels.find(file.name)
        if listed is None or listed.label:
            yield replace(file, label=listed.label if listed else None)
        else:  # unlabelled, whatever its folder
            yield replace(file, name=Path(file.name).name)
    for missing in labels.missing("folder"):
        yield _unreadable(missing.file, OSError(errno.ENOENT, str(missing), missing.file))


def _read_labels(path: Path, files: Iterable[File]) -> LabelsFile:
    try:
        return LabelsFile(read_labels_file(path.name, path.read_bytes()), (file.name for file in files))
    except ItemError as error:
        raise NotSent(f"{path.parent}: {error}") from error


def _in_folder_file(path: str, skipped: Callable[[str], None]) -> Iterator[File]:
    try:
        state, head = _stat_and_head(path)
        archive = ARCHIVE_NAME.search(path) is not None and archive_kind(head) is not None
        if not archive:
            sniff(head)
    except OSError as error:
        yield _unreadable(path, error)
    except ItemError:
        skipped(path)
    else:
        yield _file(path, state, archive=archive)


def _stat_and_head(path: str) -> tuple[os.stat_result, bytes]:
    """Return the status and first bytes of a regular file. Raises OSError for others: opening a pipe blocks."""
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "not a file", path)
    with Path(path).open("rb") as file:
        return os.fstat(file.fileno()), file.read(HEAD_BYTES)


def _file(path: str, state: os.stat_result, *, archive: bool, name: str = "") -> File:
    # Size and time are part of the key, so that a file that has changed is sent when the upload is resumed.
    key = _key(name or path, f"{state.st_size} {state.st_mtime_ns}")
    return File(name or path, key, state.st_size, archive, lambda: Path(path).open("rb"))


def _unreadable(path: str, error: OSError) -> File:
    def fail() -> IO[bytes]:
        raise error

    return File(path, _key(path, ""), 0, archive=False, open=fail)


def _key(name: str, version: str) -> str:
    digest = hashlib.sha256(f"{name}\n{version}".encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]
    return f"{re.sub('[^A-Za-z0-9._-]+', '-', name)[-KEY_NAME_LENGTH:]}-{digest}"
