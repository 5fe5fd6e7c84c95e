"""Give back the disk space of a temporary file while it is read."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import IO

#: Flags of Linux's fallocate(2): the size of the file stays, its bytes are zeros then.
KEEP_SIZE, PUNCH_HOLE = 0x1, 0x2
#: Bytes that are given back together.
STEP_BYTES = 1024 * 1024


class SpentSpace:
    """The beginning of a file that nobody will read again.

    Only that of a file without a name is given back, and only on Linux. The system's memory for it is soon used for the
    pictures that are written, and what is still only in memory is never written to the disk.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._number = _unnamed(file)
        self._end = 0

    def spend(self, end: int) -> None:
        """Give back the bytes before `end`. What cannot be given back stays until the file is closed."""
        if self._number is None or end - self._end < STEP_BYTES:
            return
        start, length = ctypes.c_int64(self._end), ctypes.c_int64(end - self._end)
        with contextlib.suppress(AttributeError):  # another system
            ctypes.CDLL(None).fallocate64(self._number, KEEP_SIZE | PUNCH_HOLE, start, length)
        self._end = end


def _unnamed(file: IO[bytes]) -> int | None:
    """Return the number of a file without a name, or None."""
    try:
        number = file.fileno()
        return None if os.fstat(number).st_nlink else number
    except OSError:  # it is in memory
        return None
