"""How long one picture takes: alone, and while a job of 20,000 is in work."""

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

#: Pictures that are timed in each repeat, and seconds from one answer to the next request.
PICTURES, PAUSE_S = 100, 0.1
BIG = 20_000


def rows(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Times in ms, from the request with `Prefer: wait` to the answer with the result in it."""
    pictures = files.pngs(BIG)
    archive = files.archive(pictures)
    idle, busy, alone = [], [], []
    with running_service() as service, tempfile.TemporaryDirectory() as folder:
        version = service.champion()
        files.write(Path(folder), pictures[:PICTURES], "png")
        _times(service, pictures)
        with rounds("bench.references.bare", service.folder, version, folder) as bare:
            for _ in range(repeats):
                alone.append(bare.run("one"))
                idle.append(_times(service, pictures))
                job_id = service.submit(archive)
                busy.append(_times(service, pictures))
                if service.job(job_id)["done"]:
                    raise RuntimeError("the big job ended too soon")
                service.http.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
                service.ended(job_id)
    ours, theirs = _ms(statistics.median, idle), _ms(statistics.median, alone)
    more = Figures([mine - other for mine, other in zip(ours.values, theirs.values, strict=True)], "ms more")
    what = "read, decode, one forward pass"
    yield Row("one picture, median", ours, what, theirs, more, Goal(25, at_least=False))
    yield ratio("one picture beside 20,000, p95", _ms(p95, busy), "idle, p95", _ms(p95, idle), Goal(2, at_least=False))


def _times(service: Service, pictures: list[bytes]) -> list[float]:
    """Seconds that each of the first pictures takes, one after the other."""
    times = []
    for picture in pictures[:PICTURES]:
        times.append(service.one(picture))
        time.sleep(PAUSE_S)
    return times


def p95(times: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(times, n=20)[-1]


def _ms(measure: Callable[[list[float]], float], repeats: list[list[float]]) -> Figures:
    return Figures([measure(times) * 1000 for times in repeats], "ms")
