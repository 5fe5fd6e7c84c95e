"""`python -m cli.stack.parent_death COMMAND…`: become the command, and end with the parent, however that ends.

Where the supervisor itself is killed, nobody would stop its programs; on Linux the kernel does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: `prctl` option of <linux/prctl.h>: the signal that this process gets when its parent dies. It outlives exec.
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies; other systems than Linux cannot do it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    end_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])
