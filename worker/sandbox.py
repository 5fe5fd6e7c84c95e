"""Child processes for the models of others: each gets files and nothing else, and its resources are limited.

The parent gives no address of Redis or the storage, and no password. It does not load TensorFlow.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.domain.errors import DarkroomError, InvalidRequest
from shared.models.import_queue import MAX_MODEL_BYTES

log = logging.getLogger("darkroom.child")

ROOT = Path(__file__).resolve().parent.parent
#: Environment variables that a child inherits: those that Python, Keras and TensorFlow need, and CIFAR-10's path.
INHERITED = ("PATH", "HOME", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR", "KERAS_HOME", "DARKROOM_CIFAR10")
#: Bytes of address space beyond what TensorFlow itself occupies.
MEMORY_BYTES = 4 * 1024**3
#: Seconds of processor time, in case the parent dies and cannot kill the child.
CPU_S = 1200


@dataclass
class Child:
    """A child process. Its files and output are in `folder`, which is deleted at the end."""

    folder: tempfile.TemporaryDirectory[str]
    process: subprocess.Popen[bytes]
    timeout_s: float
    deadline: float

    @classmethod
    def start(
        cls,
        folder: tempfile.TemporaryDirectory[str],
        module: str,
        prepare: Callable[[Path], Iterable[str]],
        timeout_s: float,
    ) -> Child:
        """Start `python -m module`; it is overdue after `timeout_s`.

        `prepare` puts its files into the folder and returns its arguments. If that fails, the folder is deleted.
        """
        try:
            process = _start(module, prepare(Path(folder.name)), Path(folder.name))
        except BaseException:
            folder.cleanup()
            raise
        return cls(folder, process, timeout_s, time.monotonic() + timeout_s)

    def is_done(self) -> bool:
        """Return whether the process has ended or is overdue. If it is overdue, its `returncode` stays None."""
        return self.process.poll() is not None or time.monotonic() > self.deadline

    def problem(self, work: str) -> str | None:
        """Return why a process that is done has not done its `work`, or None if it has."""
        status, said = self.process.returncode, self.last_line("err")
        if status is None:
            return f"{work} took longer than {self.timeout_s:g} s"
        if status == os.EX_OK:
            return None
        if status == os.EX_DATAERR:
            return said
        log.error("%s ended with status %s: %s", work, status, said)
        return f"{work} failed: {describe_exit(status)}"

    def last_line(self, name: str) -> str:
        """Return the last line of its output, `out` or `err`."""
        lines = (Path(self.folder.name) / name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def end(self) -> None:
        """Kill the process if it runs, and delete its folder."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


def _start(module: str, arguments: Iterable[str], folder: Path) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ} | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", module, *arguments]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def describe_exit(status: int) -> str:
    """Return why a process ended without a message, from its exit status."""
    if status == 1:
        return "see the log of the reconciler"
    if status > 0:
        return f"its process exited with status {status}"
    return f"its process was killed by {signal.Signals(-status).name}, perhaps because the model needs too much memory"


def run(work: Callable[[], object]) -> int:
    """Do the work of a child process within its limits. Return its exit status, after a line on stderr if it fails."""
    limit_resources()
    try:
        work()
    except InvalidRequest as error:
        print(error, file=sys.stderr)
        return os.EX_DATAERR
    except (DarkroomError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return os.EX_OK


def limit_resources() -> None:
    """Limit the memory, file size and processor time of this process to what the largest allowed model needs."""
    pages = Path("/proc/self/statm")
    if pages.exists():  # only Linux enforces a limit on the address space
        taken = int(pages.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MAX_MODEL_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
