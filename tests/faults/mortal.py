"""A train worker whose trainings die where a test says: `python -m tests.faults.mortal`.

All that runs is the product's own code, in processes of its own; what is added is the kill. The file that DEATHS names
holds the deaths to come, one a line, `<whom> <where>`; only the first is waited for, so each happens once and in turn.
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
from shared.models.champion import ChampionAlias
from shared.services import Services
from shared.settings import load_settings
from worker.runtime.heartbeat import Heartbeat
from worker.training import job, supervisor

#: The environment's name for the file of deaths.
DEATHS = "MORTAL_DEATHS"
#: Bytes that are written at a time of a blob in whose middle a process dies.
PIECE_BYTES = 64 * 1024
#: Seconds between two looks for a training.
LOOK_S = 0.1


class Fate:
    """The deaths to come. `whom` is process, or worker: the one that started the process, and the process."""

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
        """Die, if it is time."""
        if self.is_at(where):
            whom, *rest = self.left()
            self.write(*rest)
            if whom.startswith("worker "):
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


def doomed(function: Callable[..., Any], fate: Fate, name: Callable[..., str]) -> Callable[..., Any]:
    """The same function, before and after which one may die."""

    def call(*args: Any, **kwargs: Any) -> Any:
        fate.meet(f"before {name(*args)}")
        result = function(*args, **kwargs)
        fate.meet(f"after {name(*args)}")
        return result

    return call


def put_in_pieces(put: Callable[..., Any], fate: Fate) -> Callable[..., Any]:
    """The same `obstore.put`, in the middle of which one may die: half of the blob is on the disk then."""

    def call(store: Any, key: str, content: Any, **how: Any) -> Any:
        where = f"half of {blob_name(store, key)}"
        if not fate.is_at(where):
            return put(store, key, content, **how)
        whole = content if isinstance(content, bytes) else content.read()
        return put(store, key, half(whole, lambda: fate.meet(where)), use_multipart=True, chunk_size=PIECE_BYTES)

    return call


def half(content: bytes, die: Callable[[], None]) -> Iterator[bytes]:
    for start in range(0, len(content) // 2, PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]
    die()


def blob_name(_store: Any, key: str, *_: Any) -> str:
    return key.rpartition("/")[2]


def train(words: list[str]) -> int:
    """The process of a training, with its deaths."""
    fate = Fate(Path(os.environ[DEATHS]))
    TrainingStore.add_row = doomed(TrainingStore.add_row, fate, lambda _store, _training, row, *_: f"row {row['n']}")
    TrainingStore.succeed = doomed(TrainingStore.succeed, fate, lambda *_: "end")
    ChampionAlias.set = doomed(ChampionAlias.set, fate, lambda *_: "promotion")
    obstore.put = doomed(put_in_pieces(obstore.put, fate), fate, blob_name)
    return job.main(words)


def work() -> None:
    """The train worker, which starts the process above instead of the product's."""
    supervisor.subprocess = SimpleNamespace(Popen=popen, TimeoutExpired=subprocess.TimeoutExpired)
    services, name = Services.build(load_settings()), f"mortal:{os.getpid()}"
    heartbeat = Heartbeat(services.workers, services.chunks, lambda: Worker(name, ("train",), None))
    heartbeat.start()
    mine = supervisor.TrainingSupervisor(services, heartbeat.renewing, name)
    while True:
        if not mine.work():
            time.sleep(LOOK_S)


def popen(words: list[str]) -> subprocess.Popen[bytes]:
    python, flag, module, *rest = words
    assert module == "worker.training.job"
    return subprocess.Popen([python, flag, "tests.faults.mortal", *rest])


if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]) if sys.argv[1:] else work())
