"""Latency of one picture: on an idle service, and beside a job of 20,000."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import files
from bench.processes import rounds
from bench.service import Service, running_service
from bench.table import Figures, Goal, Row, ratio

#: Pictures in each repeat, and seconds between a response and the next request.
PICTURES, PAUSE_S = 100, 0.1
BIG = 20_000


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Measure ms from the request with `Prefer: wait` to the response with the result."""
    pictures = files.pngs(BIG)
    archive = files.archive(pictures)
    idle, busy, alone = [], [], []
    with running_service() as service, tempfile.TemporaryDirectory() as folder:
        version = service.champion()
        files.write(Path(folder), pictures[:PICTURES], "png")
        _times(service, pictures)
        with rounds("bench.references.one_picture", service.folder, version, folder) as bare:
            for _ in range(repeats):
                alone.append(bare.run("one"))
                idle.append(_times(service, pictures))
                job_id = service.submit(archive)
                busy.append(_times(service, pictures))
                if service.job(job_id)["done"]:
                    raise RuntimeError("the big job ended before the measurement")
                service.http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
                service.wait_until_done(job_id)
    ours, theirs = _ms(statistics.median, idle), _ms(statistics.median, alone)
    more = Figures([mine - other for mine, other in zip(ours.values, theirs.values, strict=True)], "ms more")
    reference = "read, decode, one forward pass"
    yield Row("one picture, median", ours, reference, theirs, more, Goal(25, at_least=False))
    yield ratio("one picture beside 20,000, p95", _ms(p95, busy), "idle, p95", _ms(p95, idle), Goal(2, at_least=False))


def _times(service: Service, pictures: list[bytes]) -> list[float]:
    """Return the seconds of each of the first PICTURES, sent one after the other."""
    times = []
    for picture in pictures[:PICTURES]:
        times.append(service.one(picture))
        time.sleep(PAUSE_S)
    return times


def p95(times: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(times, n=20)[-1]


def _ms(measure: Callable[[list[float]], float], repeats: list[list[float]]) -> Figures:
    return Figures([measure(times) * 1000 for times in repeats], "ms")
