"""Hard links in a tar: each is the file that it points to, whether that comes before or after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shared.domain.entities import Failure, Upload
from shared.domain.file_names import shown_name
from web.uploads.archive_entries import Entry


class HardLinks:
    """The files of one archive by their path, and the links that wait for one."""

    def __init__(self) -> None:
        self._files: dict[str, Upload] = {}
        self._waiting: dict[str, str] = {}
        self._unnamed: list[tuple[str, str]] = []

    def add(self, entry: Entry, upload: Upload) -> None:
        """Remember a file that a link may point to."""
        if entry.path is not None:
            self._files[entry.path] = upload

    def linked(self, filename: str, link: Entry) -> Upload | None:
        """Return the upload of a link under its own name; None if its target has not come yet."""
        path, target = str(link.path), str(link.target)
        known = self._files.get(target)
        if known is None:
            self._waiting[path] = target
            self._unnamed.append((filename, target))
            return None
        self._files[path] = replace(known, filename=filename)
        return self._files[path]

    def late(self) -> Iterator[Upload]:
        """Yield the uploads of the links that have waited, at the end of the archive."""
        for filename, target in self._unnamed:
            known = self._resolved(target)
            if known is not None:
                yield replace(known, filename=filename)
            else:
                detail = f"this entry is a hard link to `{target}`, which is not a file in this archive"
                yield Upload("", filename, 0, "", failure=Failure("not_a_file", shown_name(detail)))

    def _resolved(self, path: str) -> Upload | None:
        """Follow a chain of links, each of them once in all."""
        passed = []
        while path not in self._files and path in self._waiting:
            passed.append(path)
            path = self._waiting.pop(path)
        known = self._files.get(path)
        if known is not None:
            self._files.update(dict.fromkeys(passed, known))
        return known
