"""Read the pictures of a chunk from packs: what it needs of each pack is read once."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future

from shared.domain.errors import DarkroomError
from shared.storage.blobs import BlobStore
from shared.storage.parts import Part, part_of


class PackReader:
    """Reads blobs and parts of blobs, all of which are named beforehand. Thread-safe."""

    def __init__(self, blobs: BlobStore, keys: Iterable[str]) -> None:
        self._blobs = blobs
        self._spans: dict[str, _Span] = {}
        for part in map(part_of, keys):
            if part is not None:
                self._spans.setdefault(part.blob, _Span(part)).widen(part)

    def get(self, key: str) -> bytes:
        """Return what `BlobStore.get` returns, and raise what it raises: for all parts of a blob what the first met."""
        part = part_of(key)
        if part is None:
            return self._blobs.get(key)
        return self._spans[part.blob].bytes_of(part, self._blobs)


class _Span:
    """The bytes of a blob from the first to the last that are needed."""

    def __init__(self, part: Part) -> None:
        self._start, self._end = part.start, part.end
        self._lock, self._content = threading.Lock(), Future[bytes]()

    def widen(self, part: Part) -> None:
        self._start, self._end = min(self._start, part.start), max(self._end, part.end)

    def bytes_of(self, part: Part, blobs: BlobStore) -> bytes:
        with self._lock:
            if not self._content.done():
                self._read(part.blob, blobs)
        place = part.start - self._start
        return self._content.result()[place : place + part.length]

    def _read(self, blob: str, blobs: BlobStore) -> None:
        try:
            self._content.set_result(blobs.get_range(blob, self._start, self._end - self._start))
        except DarkroomError as error:
            self._content.set_exception(error)
