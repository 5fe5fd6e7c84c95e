"""Disk usage of the data folder."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared.storage.blobs import storage_errors

#: Seconds that the used bytes are cached: counting 100,000 files takes about 0.3 s.
CACHE_S = 60


@dataclass(frozen=True)
class DiskState:
    """Bytes of the disk; `used` is the size of all files in the data folder, at most CACHE_S old."""

    total: int
    free: int
    used: int


class Disk:
    """The disk of the data folder. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counted_at, self._used = float("-inf"), 0

    def state(self) -> DiskState:
        """Return the usage. Raises NotFound or Unavailable if the folder cannot be read."""
        with storage_errors("the data folder"):
            disk = shutil.disk_usage(self._folder)
            return DiskState(total=disk.total, free=disk.free, used=self._used_bytes())

    def free(self) -> int:
        """Return the free bytes, without counting files. Raises NotFound, Unavailable."""
        with storage_errors("the data folder"):
            return shutil.disk_usage(self._folder).free

    def _used_bytes(self) -> int:
        with self._lock:
            if time.monotonic() - self._counted_at > CACHE_S:
                self._used, self._counted_at = sum(_sizes(str(self._folder))), time.monotonic()
            return self._used


def _sizes(folder: str) -> Iterator[int]:
    """Yield the size of each file below a folder, except those that vanish or cannot be read."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size
