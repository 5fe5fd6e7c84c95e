"""The blob store: bytes under keys, on local disk or in S3, through obstore.

Writes are atomic: a reader sees the whole blob or none, even after a crash.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, ObjectStore, from_url

from shared.domain.errors import ConfigError, Conflict, NotFound, StorageFull, Unavailable
from shared.storage.gate import Gate
from shared.storage.parts import part_of
from shared.storage.requests import PAGE, Count, Requests, not_counted
from shared.storage.s3 import check_variables

#: Bytes of disk that are reserved for results and the append-only file of Redis.
RESERVE_BYTES = 256 * 1024 * 1024
#: Bytes that are read at a time from a file to store on a local disk.
READ_BYTES = 64 * 1024
#: Bytes in one piece of a streamed blob.
STREAM_BYTES = 1024 * 1024
#: Blobs that are written to a store on a network at the same time.
PUTS_AT_ONCE = 32
#: Parts of one upload that are sent at the same time. Each has 5 MiB, which must arrive within `Patience.stall_s`.
PARTS_AT_ONCE = 3


@dataclass(frozen=True)
class Patience:
    """How long a program waits for a store on a network.

    `stall_s`: seconds without a byte after which a request has failed. `retry_s`: seconds after which a request that
    fails is not repeated. `places`: threads that may use the store at a time; None for any number.
    """

    stall_s: float
    retry_s: float
    places: int | None = None


#: Workers: a call ends in 20 s at most, well below the 60 s after which the process of a chunk is killed.
WORKER_PATIENCE = Patience(stall_s=10, retry_s=10)


def web_patience(threads: int) -> Patience:
    """Return the patience of a web process with `threads`: it responds within 5 s, and half of it needs no storage."""
    return Patience(stall_s=3.5, retry_s=1, places=max(1, threads // 2))


#: What is wrong with a store on a network, by a part of its error. The first two are addresses at which a machine of
#: Amazon's gets the credentials of its role.
NO_CREDENTIALS = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
REASONS = {
    "/latest/api/token": NO_CREDENTIALS,
    "/iam/security-credentials": NO_CREDENTIALS,
    "NoSuchBucket": "its bucket does not exist",
    "kind: Timeout": "it does not answer in time",
    "dns error": "its host name is unknown",
    "certificate": "its certificate is not trusted",
    "Server returned": "it answers with an error",
    "HTTP error": "it cannot be reached",
}


class BlobStore:
    """Bytes under keys such as `jobs/<id>/<digest>`. `get` and `copy` also take keys of parts of blobs (`parts.py`).

    Every method raises Unavailable if the store cannot be reached; writes raise StorageFull if it is full.
    """

    def __init__(
        self, store: ObjectStore, folder: Path | None = None, places: int | None = None, count: Count = not_counted
    ) -> None:
        """`folder` is the folder of a local store; writes then check its free space. `places`: see Patience."""
        self._requests = Requests(store, count)
        self._folder = folder
        self._gate = Gate(places) if places else None

    @classmethod
    def open(
        cls,
        storage_url: str | None,
        data_dir: Path,
        patience: Patience = WORKER_PATIENCE,
        count: Count = not_counted,
    ) -> BlobStore:
        """Return the store at `storage_url`, or in the folder `blobs` of the data folder if that is None.

        `count` gets each request to a store on a network. Raises ConfigError for an invalid URL.
        """
        if storage_url is not None:
            try:
                return cls(_remote(storage_url, patience), places=patience.places, count=count)
            except (BaseError, ValueError) as error:
                raise ConfigError(f"DARKROOM_STORAGE_URL={storage_url!r}: {_first_line(error)}") from error
        folder = data_dir / "blobs"
        with storage_errors("the data folder"):
            folder.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(folder, automatic_cleanup=True), folder, patience.places)

    def __str__(self) -> str:
        """Return what to call the store in errors, without the address of a remote one."""
        return "the remote storage" if self._folder is None else f"the folder {self._folder.absolute()}"

    @property
    def is_remote(self) -> bool:
        """Return whether the store is on a network, so that concurrent reads are faster."""
        return self._folder is None

    @property
    def temporary_folder(self) -> str | None:
        """Return a folder on the same disk for temporary files, or None for the system's."""
        return None if self._folder is None else str(self._folder.parent)

    def put(self, key: str, content: bytes | bytearray | IO[bytes]) -> None:
        """Store `content` atomically; replaces an existing blob.

        A temporary file without a name is not to be written to afterwards: on the same disk it becomes the blob.
        """
        self.check_free_space()
        source: bytes | bytearray | IO[bytes] | Iterator[bytes] = content
        if self._folder is not None and not isinstance(content, bytes | bytearray):
            if _named(content, self._folder / key):
                return
            source = iter(partial(content.read, READ_BYTES), b"")  # half of the processor time of a file
        with self._using(key):
            self._requests.put(key, source, max_concurrency=PARTS_AT_ONCE)

    def put_all(self, contents: Mapping[str, bytes | bytearray]) -> None:
        """Store blobs by key, on a network PUTS_AT_ONCE at a time. After an error some of them are stored."""
        if self._folder is not None or len(contents) == 1:
            for key, content in contents.items():
                self.put(key, content)
            return
        with self._using(f"{len(contents)} blobs"), ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
            puts = [pool.submit(self._requests.put, key, content) for key, content in contents.items()]
            try:
                for each in puts:
                    each.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def create(self, key: str, content: bytes) -> None:
        """Store `content` atomically. Raises Conflict if the blob exists."""
        self.check_free_space()
        with self._using(key):
            self._requests.put(key, content, mode="create")

    def copy(self, source: str, target: str) -> None:
        """Copy a blob, on a local disk as a hard link; replaces an existing blob. Raises NotFound.

        The copy of a part is a blob of its own.
        """
        if part_of(source) is not None:
            self.put(target, self.get(source))
            return
        with self._using(source):
            self._requests.copy(source, target)

    def get(self, key: str) -> bytes:
        """Return a blob or a part of one. Raises NotFound."""
        if (part := part_of(key)) is not None:
            return self.get_range(part.blob, part.start, part.length)
        with self._using(key):
            if self._folder is not None:  # 13 µs for a small picture, 82 µs through obstore
                return (self._folder / key).read_bytes()
            return self._requests.get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Return `length` bytes of a blob from `start` on. Raises NotFound, and Unavailable if it has fewer."""
        with self._using(key):
            if self._folder is None:
                content = self._requests.get_range(key, start, length)
            else:
                with (self._folder / key).open("rb", buffering=0) as file:
                    content = os.pread(file.fileno(), length, start)
            if len(content) < length:
                raise Unavailable(f"the storage failed at {key}: it is cut off")
            return content

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield a blob in pieces. Raises NotFound."""
        with self._using(key):
            pieces = self._requests.stream(key, STREAM_BYTES)
        while True:
            with self._using(key):
                piece = next(pieces, None)
            if piece is None:
                return
            yield bytes(piece)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of all blobs below the folder `prefix`, in any order."""
        with self._using(prefix):
            return [str(entry["path"]) for page in self._requests.pages(prefix) for entry in page]

    def folders(self, prefix: str) -> dict[str, float]:
        """Return the folders in `prefix` with the time of the last write to each, in seconds since the epoch."""
        newest: dict[str, float] = {}
        with self._using(prefix):
            for entry in (entry for page in self._requests.pages(prefix) for entry in page):
                name = str(entry["path"]).removeprefix(f"{prefix}/").partition("/")[0]
                newest[name] = max(newest.get(name, 0), entry["last_modified"].timestamp())
        return newest

    def exists(self, key: str) -> bool:
        """Return whether the blob exists."""
        try:
            with self._using(key):
                self._requests.head(key)
        except NotFound:
            return False
        return True

    def delete_all(self, prefix: str) -> int:
        """Delete all blobs below the folder `prefix` and return their number, which may be 0."""
        count = 0
        with self._using(prefix):
            for page in self._requests.pages(prefix):
                self._delete([str(entry["path"]) for entry in page])
                count += len(page)
        if self._folder is not None:  # unfinished writes of a killed process are not listed
            shutil.rmtree(self._folder / prefix, ignore_errors=True)
        return count

    def delete(self, keys: list[str]) -> None:
        """Delete blobs, at most PAGE in one request; some may not exist."""
        for start in range(0, len(keys), PAGE):
            with self._using("the blobs"):
                self._delete(keys[start : start + PAGE])

    def check_readable(self, folder: str) -> None:
        """Raise Unavailable if `folder` cannot be listed: the store is at fault then, not a single blob."""
        with self._using(folder):
            next(self._requests.pages(folder), None)

    def _delete(self, keys: list[str]) -> None:
        """Delete blobs. Another process may delete the same ones at the same time."""
        try:
            self._requests.delete(keys)
        except (FileNotFoundError, NotFoundError):  # some of the others may still exist
            for key in keys:
                with contextlib.suppress(FileNotFoundError, NotFoundError):
                    self._requests.delete([key])

    def check_free_space(self, needed: int = 0) -> None:
        """Raise StorageFull if `needed` more bytes would use up the reserve of a local disk."""
        if self._folder is None:
            return
        with storage_errors("the data folder"):
            free = shutil.disk_usage(self._folder).free
        if free - needed < RESERVE_BYTES:
            raise StorageFull(f"the disk has {free // 2**20} MiB left, and {RESERVE_BYTES // 2**20} MiB are reserved")

    @contextmanager
    def _using(self, what: str) -> Iterator[None]:
        """Pass the gate, if there is one, and translate errors in the block."""
        with self._gate.passed() if self._gate else nullcontext(), storage_errors(what):
            yield

    def check_writable(self) -> None:
        """Raise StorageFull or Unavailable if a write fails."""
        self.put("probe", b"")


def _named(file: IO[bytes], path: Path) -> bool:
    """Give a whole file that has no name yet this one, which may be another's. Return False if that cannot be done.

    Only Linux can, with a temporary file on the same disk.
    """
    unfinished = path.with_name(f"{path.name}#{threading.get_native_id()}")  # as obstore calls its own; it lists none
    try:
        number = file.fileno()
        if file.tell() or os.fstat(number).st_nlink:
            return False
        file.flush()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.link(f"/proc/self/fd/{number}", unfinished, src_dir_fd=number)  # only with a folder is the link followed
        unfinished.replace(path)
    except (OSError, NotImplementedError):  # if something is wrong with the disk, copying the bytes says what
        return False
    return True


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Translate errors of the operating system and of obstore in the block."""
    try:
        yield
    except (NotFoundError, FileNotFoundError, IsADirectoryError) as error:
        if "NoSuchBucket" in str(error):
            raise Unavailable("the bucket of the storage does not exist") from error
        raise NotFound(f"{what} is not in the storage") from error
    except AlreadyExistsError as error:
        raise Conflict(f"{what} is already in the storage") from error
    except (BaseError, OSError) as error:
        if _is(error, errno.ENOSPC, errno.EDQUOT):
            raise StorageFull("the disk is full") from error
        if _is(error, errno.ENOTDIR):
            raise NotFound(f"{what} is not in the storage") from error
        raise Unavailable(f"the storage failed at {what}: {_reason(error)}") from error


def _remote(storage_url: str, patience: Patience) -> ObjectStore:
    """Return a store on a network. Raise ValueError for variables that cannot be meant."""
    if storage_url.startswith("s3:"):
        check_variables(os.environ)
    stall = timedelta(seconds=patience.stall_s)
    options: Any = {name: os.environ[env] for env, name in _client_variables()}
    return from_url(
        storage_url,
        client_options=options | {"connect_timeout": stall, "read_timeout": stall},
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=patience.retry_s)},
    )


def _client_variables() -> Iterator[tuple[str, str]]:
    """Yield the variables of the environment that obstore ignores if it gets any option, and the options' names."""
    for name in os.environ:
        if match := re.fullmatch(r"(?:AWS|GOOGLE|AZURE)_((?:ALLOW|PROXY)_\w+)", name):
            yield name, match[1].lower()


def _reason(error: Exception) -> str:
    """Return what is wrong, without the address and the bucket, which callers must not see: they are in the cause."""
    text = str(error)
    if number := getattr(error, "errno", None) or next(iter(re.findall(r"\(os error (\d+)\)", text)), None):
        return os.strerror(int(number))
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or "AccessDenied" in text:
        return "it refuses the credentials"
    return next((reason for part, reason in REASONS.items() if part in text), "see the log")


def _is(error: Exception, *numbers: int) -> bool:
    """Return whether an error has one of these errnos; obstore has them only in its text."""
    return getattr(error, "errno", None) in numbers or any(f"(os error {number})" in str(error) for number in numbers)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
