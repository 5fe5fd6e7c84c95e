"""The machine's limit: a process for each core, pinned to it, that does nothing but one kind of work on pictures."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np

from bench.references.loading import MAX_PIXELS, load
from worker import hardware
from worker.data.decode import decode
from worker.serving.models import LoadedModel

#: Pictures that a process takes at most, and turns of each process at least, so that all of them end together.
BATCH, TURNS = 32, 20
#: Seconds until each process has loaded its network.
START_S = 300

Work = Callable[[Sequence[Any]], None]


def pictures_per_s(work: Work, pictures: Sequence[Any]) -> float:
    """Return the pictures per second of all processes together. `work` keeps what it loads: it is warmed up first."""
    context, count = multiprocessing.get_context("spawn"), hardware.cores()
    batch = max(1, min(BATCH, len(pictures) // (TURNS * count)))
    parts = [pictures[start : start + batch] for start in range(0, len(pictures), batch)]
    cores, ready = context.Queue(), context.Barrier(count + 1)
    for core in os.sched_getaffinity(0):
        cores.put(core)
    with context.Pool(count, initializer=_begin, initargs=(cores, ready, partial(work, parts[0]))) as pool:
        ready.wait(START_S)
        begin = time.perf_counter()
        pool.map(work, parts, chunksize=1)
        return len(pictures) / (time.perf_counter() - begin)


def classify(data_folder: Path, version: str, files: Sequence[Path]) -> None:
    """Read, decode and classify pictures, as a Chunk is classified."""
    model = _model(data_folder, version)
    shape = model.card.input
    pixels = [decode(file.read_bytes(), shape.height, shape.width, MAX_PIXELS) for file in files]
    model.forward(np.stack(pixels))


@cache
def _model(data_folder: Path, version: str) -> LoadedModel:
    return load(data_folder, version, threads=1)


def _begin(cores: multiprocessing.Queue[int], ready: Barrier, warm_up: Callable[[], None]) -> None:
    os.sched_setaffinity(0, {cores.get()})
    warm_up()
    ready.wait(START_S)
