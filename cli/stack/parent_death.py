"""`python -m cli.stack.parent_death COMMAND…`: exec the command, and end it when the parent dies.

If the supervisor itself is killed, it cannot stop its programs. On Linux the kernel does.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

#: Option of prctl(2): the signal that this process receives when its parent dies. It survives exec.
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies. Only Linux supports this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    end_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])
