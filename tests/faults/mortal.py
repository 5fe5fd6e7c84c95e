"""A train worker that dies at the points that a test chooses: `python -m tests.faults.mortal`.

It runs the product's code in the product's processes; only the kills are added. The file in DEATHS lists the deaths,
one a line: `<whom> <where>`. Each happens once, in this order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import obstore

from shared.jobs.trainings import TrainingStore
from shared.jobs.workers import Worker
from shared.models.classifiers import Classifiers
from shared.services import Services
from shared.settings import load_settings
from worker.runtime.heartbeat import Heartbeat
from worker.serving.lacks import Lacks
from worker.training import job, supervisor

#: Environment variable with the path of the file of deaths.
DEATHS = "MORTAL_DEATHS"
#: Bytes per write of a blob in whose middle a process dies.
PIECE_BYTES = 64 * 1024
#: Seconds between two polls for a training.
LOOK_S = 0.1


class Fate:
    """The deaths that remain. `whom` is `process`, or `worker` for the process and its parent."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def left(self) -> list[str]:
        return self._file.read_text().splitlines()

    def write(self, *deaths: str) -> None:
        temporary = self._file.with_suffix(".new")
        temporary.write_text("\n".join(deaths))
        temporary.replace(self._file)

    def is_at(self, where: str) -> bool:
        return bool(left := self.left()) and left[0].partition(" ")[2] == where

    def meet(self, where: str) -> None:
        """Die if this is the place of the next death."""
        if self.is_at(where):
            whom, *rest = self.left()
            self.write(*rest)
            if whom.startswith("worker "):
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def doomed(function: Callable[..., Any], fate: Fate, name: Callable[..., str]) -> Callable[..., Any]:
    """Return the function with places to die before and after it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        fate.meet(f"before {name(*args)}")
        result = function(*args, **kwargs)
        fate.meet(f"after {name(*args)}")
        return result

    return call


def put_in_pieces(put: Callable[..., Any], fate: Fate) -> Callable[..., Any]:
    """Return `obstore.put` with a place to die when half of the blob is on the disk."""

    def call(store: Any, key: str, content: Any, **how: Any) -> Any:
        where = f"half of {blob_name(store, key)}"
        if not fate.is_at(where):
            return put(store, key, content, **how)
        whole = content if isinstance(content, bytes | bytearray) else b"".join(content)
        return put(store, key, half(whole, lambda: fate.meet(where)), use_multipart=True, chunk_size=PIECE_BYTES)

    return call


def half(content: bytes, die: Callable[[], None]) -> Iterator[bytes]:
    for start in range(0, len(content) // 2, PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]
    die()


def blob_name(_store: Any, key: str, *_: Any) -> str:
    return key.rpartition("/")[2]


def train(words: list[str]) -> int:
    """Run a training's process, with its deaths."""
    fate = Fate(Path(os.environ[DEATHS]))
    TrainingStore.add_row = doomed(TrainingStore.add_row, fate, lambda _store, _training, row, *_: f"row {row['n']}")
    TrainingStore.succeed = doomed(TrainingStore.succeed, fate, lambda *_: "end")
    Classifiers.promote = doomed(Classifiers.promote, fate, lambda *_: "promotion")
    obstore.put = doomed(put_in_pieces(obstore.put, fate), fate, blob_name)
    job.NICENESS = 0  # the other tests keep the cores busy, and it would hardly get on
    return job.main(words)


def work() -> None:
    """Run the train worker, which starts the process above instead of the product's."""
    supervisor.subprocess = SimpleNamespace(Popen=popen, TimeoutExpired=subprocess.TimeoutExpired)
    services, name = Services.build(load_settings()), f"mortal:{os.getpid()}"
    heartbeat = Heartbeat(services.workers, services.chunks, lambda: Worker(name, ("train",), None))
    heartbeat.start()
    mine = supervisor.TrainingSupervisor(services, heartbeat.renewing, name, Lacks())
    while True:
        if not mine.work():
            time.sleep(LOOK_S)


def popen(words: list[str], **options: Any) -> subprocess.Popen[bytes]:
    python, flag, module, *rest = words
    assert module == "worker.training.job"
    return subprocess.Popen([python, flag, "tests.faults.mortal", *rest], **options)


if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]) if sys.argv[1:] else work())
