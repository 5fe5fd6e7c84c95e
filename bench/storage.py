"""Small pictures of one request into a store and out of it, by the code of the web process and of a worker."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from bench import files
from bench.service import ROOT
from bench.table import Figures, Goal, Row, ratio
from shared.domain.entities import Upload, new_id
from shared.jobs.chunks import CHUNK_ITEMS
from shared.settings import load_settings
from shared.storage.blobs import BlobStore, web_patience
from web.uploads import intake as intakes
from web.uploads.intake import Intake
from web.uploads.submission import ADD_ITEMS
from worker.data.load_upload import UploadsOfChunk

T = TypeVar("T")

PICTURES, SINGLE, MANY, THREADS = 2_000, 100, 10_000, 16
#: Seconds that the store takes for a request.
DELAY_S = 0.02
#: All of them in 3 seconds.
GOAL = Goal(PICTURES / 3 * DELAY_S)
#: Requests for MANY small pictures, in and out together.
REQUESTS = Goal(200, at_least=False)


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Measure pictures per second from a zip, against one request after the other, and count the requests."""
    pictures = [png + bytes(f"{number}", "ascii") for number, png in enumerate(files.pngs(MANY))]
    archive = files.archive(pictures[:PICTURES])
    with slow_store() as (blobs, _):
        ours = [PICTURES / _seconds(blobs, archive) for _ in range(repeats)]
        theirs = [SINGLE / _one_by_one(blobs, pictures[:SINGLE]) for _ in range(repeats)]
    name = f"{PICTURES:,} small pictures into an S3 that takes {DELAY_S * 1000:.0f} ms"
    yield ratio(name, Figures(ours, "pictures/s"), "one by one", Figures(theirs, "pictures/s"), GOAL)
    with slow_store() as (blobs, requests):
        counts = [_in_and_out(blobs, files.archive(pictures), requests) for _ in range(repeats)]
    name = f"requests for {MANY:,} small pictures, into S3 and out"
    yield Row(name, Figures(counts, "requests"), goal=REQUESTS)
    yield from _local(repeats, archive)


def _local(repeats: int, archive: bytes) -> Iterator[Row]:
    """Measure the data folder, where pictures would be files of their own if none was small."""
    packed, single = list[tuple[float, float]](), list[tuple[float, float]]()
    with tempfile.TemporaryDirectory() as folder:
        blobs = BlobStore.open(None, Path(folder))
        for _ in range(repeats):
            packed.append(_speeds(blobs, archive))
            with patch.object(intakes, "PACKED_BYTES", 0):
                single.append(_speeds(blobs, archive))
    for place, way in enumerate(("into the data folder", "out of it")):
        ours, theirs = (Figures([each[place] for each in found], "pictures/s") for found in (packed, single))
        yield ratio(f"{PICTURES:,} small pictures {way}", ours, "a file each", theirs)


def _speeds(blobs: BlobStore, archive: bytes) -> tuple[float, float]:
    """Return pictures per second in and out."""
    job_id, begin = new_id(), time.perf_counter()
    uploads = _taken(blobs, job_id, archive)
    stored = time.perf_counter()
    _read(blobs, job_id, uploads)
    return len(uploads) / (stored - begin), len(uploads) / (time.perf_counter() - stored)


def _seconds(blobs: BlobStore, archive: bytes) -> float:
    begin = time.perf_counter()
    _taken(blobs, new_id(), archive)
    return time.perf_counter() - begin


def _in_and_out(blobs: BlobStore, archive: bytes, requests: Requests) -> int:
    before, job_id = requests(), new_id()
    _read(blobs, job_id, _taken(blobs, job_id, archive))
    return requests() - before


def _taken(blobs: BlobStore, job_id: str, archive: bytes) -> list[Upload]:
    """Store the pictures of a zip, as a request does; return their uploads."""
    intake = Intake(blobs, load_settings(), job_id)
    batches = _batches(intake.take("pictures.zip", [archive]), ADD_ITEMS)
    return [upload for batch in batches for upload in intake.stored(batch)]


def _read(blobs: BlobStore, job_id: str, uploads: list[Upload]) -> None:
    """Read all pictures, as workers do: Chunk by Chunk."""
    with ThreadPoolExecutor(THREADS) as pool:
        for chunk in _batches(uploads, CHUNK_ITEMS):
            stored = UploadsOfChunk(blobs, job_id, chunk)
            reads = [pool.submit(stored.load, each) for each in chunk]
            for each in reads:
                each.result()


def _batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(things)
    while batch := list(islice(left, size)):
        yield batch


def _one_by_one(blobs: BlobStore, pictures: list[bytes]) -> float:
    begin = time.perf_counter()
    for number, picture in enumerate(pictures):
        blobs.put(f"one/{number}", picture)
    return time.perf_counter() - begin


class Requests:
    """The number of requests that the store with this address has had."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __call__(self) -> int:
        """Return the number so far."""
        with urllib.request.urlopen(f"{self._address}/requests") as answer:
            return int(answer.read())


@contextmanager
def slow_store() -> Iterator[tuple[BlobStore, Requests]]:
    """Run the stand-in for S3 and yield a store on it, as a web process has it, and the count of its requests."""
    command = [sys.executable, "-m", "bench.references.slow_s3", str(DELAY_S)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        access = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
        try:
            with patch.dict(os.environ, access | {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}):
                yield BlobStore.open("s3://pictures/bench", Path(), web_patience(THREADS)), Requests(address)
        finally:
            server.kill()
