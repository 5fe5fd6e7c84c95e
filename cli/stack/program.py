"""`python -m cli.stack.program NAME`: exec a program of `programs.json` in this folder; it ends with its parent.

The commands are in that file, and not in supervisor's configuration, whose syntax has no escape for `;`, `#` or a line
end in a path. If the supervisor itself is killed, it cannot stop its programs. On Linux the kernel does.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

#: Name of the file: program → its command and the folder that it runs in.
FILE = "programs.json"
#: Option of prctl(2): the signal that this process receives when its parent dies. It survives exec.
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent dies. Only Linux supports this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def main(name: str) -> None:
    """Replace this process with the program."""
    program = json.loads(Path(FILE).read_text())[name]
    end_with_parent()
    os.chdir(program["folder"])
    os.execvp(program["command"][0], program["command"])


if __name__ == "__main__":
    main(sys.argv[1])
