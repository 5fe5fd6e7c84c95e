"""Small pictures of one request into a store on a network, by the code of the web process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from bench import files
from bench.service import ROOT
from bench.table import Figures, Goal, Row, ratio
from shared.settings import load_settings
from shared.storage.blobs import BlobStore, web_patience
from web.uploads.intake import Intake

PICTURES, SINGLE, THREADS = 2_000, 100, 16
#: Seconds that the store takes for a request.
DELAY_S = 0.02
#: All of them in 3 seconds.
GOAL = Goal(PICTURES / 3 * DELAY_S)


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Measure pictures per second from a zip, against one request after the other."""
    pictures = [png + bytes(f"{number}", "ascii") for number, png in enumerate(files.pngs(PICTURES))]
    archive = files.archive(pictures)
    with slow_store() as blobs:
        ours = [PICTURES / _seconds(blobs, archive, number) for number in range(repeats)]
        theirs = [SINGLE / _one_by_one(blobs, pictures[:SINGLE]) for _ in range(repeats)]
    name = f"{PICTURES:,} small pictures into an S3 that takes {DELAY_S * 1000:.0f} ms"
    yield ratio(
        name, Figures(ours, "pictures/s"), "one by one", Figures(theirs, "pictures/s"), Goal(PICTURES / 3 * DELAY_S)
    )


def _seconds(blobs: BlobStore, archive: bytes, number: int) -> float:
    intake, begin = Intake(blobs, load_settings(), f"{number:032}"), time.perf_counter()
    for _ in intake.take("pictures.zip", [archive]):
        pass
    intake.write()
    return time.perf_counter() - begin


def _one_by_one(blobs: BlobStore, pictures: list[bytes]) -> float:
    begin = time.perf_counter()
    for number, picture in enumerate(pictures):
        blobs.put(f"one/{number}", picture)
    return time.perf_counter() - begin


@contextmanager
def slow_store() -> Iterator[BlobStore]:
    """Run the stand-in for S3 and yield a store on it, as a web process has it."""
    command = [sys.executable, "-m", "bench.references.slow_s3", str(DELAY_S)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        access = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
        address = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}
        try:
            with patch.dict(os.environ, access | address):
                yield BlobStore.open("s3://pictures/bench", Path(), web_patience(THREADS))
        finally:
            server.kill()
