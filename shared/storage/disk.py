"""The disk under the data folder: how much of it is free, and how much of it Darkroom has taken."""

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

#: Seconds for which what was counted is good enough: it takes a look at each file, some 0.3 s for 100,000 of them.
COUNTED_FOR_S = 60


@dataclass(frozen=True)
class DiskState:
    """Bytes. `used` is what the files in the data folder take together, at most COUNTED_FOR_S ago."""

    total: int
    free: int
    used: int


class Disk:
    """Looks at the disk of the data folder; safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counted_at, self._used = float("-inf"), 0

    def state(self) -> DiskState:
        """How it is now. Raises Unavailable where the folder cannot be looked at."""
        with storage_errors("the data folder"):
            disk = shutil.disk_usage(self._folder)
            return DiskState(total=disk.total, free=disk.free, used=self._counted())

    def free(self) -> int:
        """Bytes that are free, without a look at any file. Raises Unavailable."""
        with storage_errors("the data folder"):
            return shutil.disk_usage(self._folder).free

    def _counted(self) -> int:
        with self._lock:
            if time.monotonic() - self._counted_at > COUNTED_FOR_S:
                self._used, self._counted_at = sum(_sizes(str(self._folder))), time.monotonic()
            return self._used


def _sizes(folder: str) -> Iterator[int]:
    """The size of each file below a folder; what goes away meanwhile, or is nobody's to read, counts for nothing."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(entry.path)
                else:
                    yield entry.stat(follow_symlinks=False).st_size
