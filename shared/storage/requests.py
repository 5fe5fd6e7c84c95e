"""The requests to a blob store: obstore's calls on one store, each counted by its kind and result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import obstore
from obstore.exceptions import AlreadyExistsError, NotFoundError
from obstore.store import ObjectStore

#: Kinds of requests, and how they end: `missing` means that there is no such blob, `exists` that there is one already.
KINDS = ("put", "get", "head", "list", "delete", "copy")
SUCCEEDED, MISSING, EXISTS, FAILED = RESULTS = ("succeeded", "missing", "exists", "failed")
#: Keys in one request that deletes or lists, as in S3.
PAGE = 1000

Count = Callable[[str, str], None]


def not_counted(_kind: str, _result: str) -> None:
    """Count nothing."""


class Requests:
    """The requests to a store. `count` gets the kind and the result of each.

    The parts of a large blob are one request here, and so is one that obstore repeats. Errors are obstore's.
    """

    def __init__(self, store: ObjectStore, count: Count = not_counted) -> None:
        self._store, self._count = store, count

    def put(self, key: str, content: bytes | bytearray | IO[bytes] | Iterator[bytes], **options: Any) -> None:
        """Store a blob."""
        with self._counted("put"):
            obstore.put(self._store, key, content, **options)

    def copy(self, source: str, target: str) -> None:
        """Copy a blob."""
        with self._counted("copy"):
            obstore.copy(self._store, source, target)

    def get(self, key: str) -> bytes:
        """Return a blob."""
        with self._counted("get"):
            return bytes(obstore.get(self._store, key).bytes())

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return a part of a blob."""
        with self._counted("get"):
            return bytes(obstore.get_range(self._store, key, start=start, length=length))

    def stream(self, key: str, piece_bytes: int) -> Iterator[Any]:
        """Return the pieces of a blob. One that breaks off later is not a failed request."""
        with self._counted("get"):
            return iter(obstore.get(self._store, key).stream(min_chunk_size=piece_bytes))

    def pages(self, prefix: str) -> Iterator[Any]:
        """Yield the blobs below a folder, PAGE at a time. An empty folder takes a request as well."""
        pages = iter(obstore.list(self._store, prefix, chunk_size=PAGE))
        with self._counted("list"):
            page = next(pages, None)
        while page is not None:
            yield page
            if len(page) < PAGE:
                return
            with self._counted("list"):
                page = next(pages, None)

    def head(self, key: str) -> None:
        """Return if the blob exists."""
        with self._counted("head"):
            obstore.head(self._store, key)

    def delete(self, keys: list[str]) -> None:
        """Delete blobs, at most PAGE."""
        with self._counted("delete"):
            obstore.delete(self._store, keys)

    @contextmanager
    def _counted(self, kind: str) -> Iterator[None]:
        result = FAILED
        try:
            yield
            result = SUCCEEDED
        except AlreadyExistsError:
            result = EXISTS
            raise
        except (NotFoundError, FileNotFoundError) as error:
            result = FAILED if "NoSuchBucket" in str(error) else MISSING
            raise
        finally:
            self._count(kind, result)
