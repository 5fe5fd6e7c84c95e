"""Cost of reading a job's status, by its size and the number of clients; and memory for 100,000 pictures."""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from bench import files
from bench.service import Service, running_service
from bench.table import Figures, Goal, Row, ratio

#: Pictures of the big and the small job, and requests for the status of each in a repeat.
BIG, SMALL, REQUESTS = 100_000, 10, 2_000
#: Jobs of one picture, and clients that submit them.
JOBS, SENDERS = 2_000, 8
#: Clients that poll a job, and pictures of that job.
CLIENTS, FOLLOWED = 50, 10_000


def rows(repeats: int, seed_model: Path) -> Iterator[Row]:
    """Compare a big job with a small one, and measure memory, with the fast network of `seed`."""
    with running_service() as service:
        service.use(seed_model)
        small = _done(service, SMALL)
        before = service.memory()
        big = _done(service, BIG)
        after = service.memory()
        times = [_p99(service, small, big) for _ in range(repeats)]
        _many(service)
        at_last = service.memory()
    small_ms, big_ms = (Figures([pair[n] * 1000 for pair in times], "ms") for n in (0, 1))
    goal = Goal(1.2, at_least=False)
    yield ratio("status of a job of 100,000, p99", big_ms, "of a job of 10, p99", small_ms, goal)
    sizes = {
        "memory of web after 100,000 pictures": (after["web"], 120),
        "memory of the worker after 100,000 pictures": (after["worker"], 700),
        "memory of Redis per 100,000 pictures": (after["redis"] - before["redis"], 60),
        "memory of web after 2,000 more jobs": (at_last["web"], 120),
        "memory of the worker after 2,000 more jobs": (at_last["worker"], 700),
    }
    for name, (size, limit) in sizes.items():
        yield Row(name, Figures([size], "MB"), goal=Goal(limit, at_least=False))


def polling(repeats: int, _seed_model: Path) -> Iterator[Row]:
    """Compare the speed of a job with and without clients that poll it."""
    archive = files.archive(files.pngs(FOLLOWED))
    alone, followed, rates = [], [], []
    with running_service() as service:
        _speed(service, service.submit(archive))
        for _ in range(repeats):
            alone.append(_speed(service, service.submit(archive)))
            job_id = service.submit(archive)
            with _followers(service, job_id) as answers:
                begin = time.perf_counter()
                followed.append(_speed(service, job_id))
                rates.append(len(answers) / (time.perf_counter() - begin))
    less = Figures([(1 - mine / other) * 100 for mine, other in zip(followed, alone, strict=True)], "% less")
    speeds, goal = (Figures(followed, "images/s"), Figures(alone, "images/s")), Goal(5, at_least=False)
    yield Row("10,000 PNGs while 50 clients poll the job", speeds[0], "alone", speeds[1], less, goal)
    yield Row("responses to those 50 clients", Figures(rates, "/s"))


def _done(service: Service, count: int) -> str:
    """Run a job of `count` pictures, and return its id."""
    job_id = service.submit(files.archive(files.pngs(count)))
    service.wait_until_done(job_id)
    return job_id


def _many(service: Service) -> None:
    """Run JOBS jobs of one picture each, concurrently."""
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(service.one, files.pngs(JOBS)))


def _p99(service: Service, *job_ids: str) -> tuple[float, ...]:
    """Return the 99th percentile of a status request's seconds for each job, requested alternately."""
    times: dict[str, list[float]] = {job_id: [] for job_id in job_ids}
    for _ in range(REQUESTS):
        for job_id in job_ids:
            begin = time.perf_counter()
            service.job(job_id)
            times[job_id].append(time.perf_counter() - begin)
    return tuple(statistics.quantiles(one, n=100)[-1] for one in times.values())


def _speed(service: Service, job_id: str) -> float:
    """Return images per second from now to the end of the job."""
    before, begin = service.job(job_id), time.perf_counter()
    after = service.wait_until_done(job_id)
    done: list[int] = [job["counts"]["succeeded"] for job in (before, after)]
    return (done[1] - done[0]) / (time.perf_counter() - begin)


@contextmanager
def _followers(service: Service, job_id: str) -> Iterator[list[int]]:
    """Run clients that poll the status every `Retry-After` seconds, and yield the growing list of response statuses."""
    answers: list[int] = []
    url, stopping = service.http.base_url, threading.Event()

    def follow(first: float) -> None:
        connection, pause = http.client.HTTPConnection(url.host, url.port, timeout=60), first
        while not stopping.wait(pause):
            connection.request("GET", f"/v1/jobs/{job_id}")
            answer = connection.getresponse()
            answer.read()
            answers.append(answer.status)
            pause = float(answer.headers.get("Retry-After", 1))
        connection.close()

    threads = [threading.Thread(target=follow, args=[number / CLIENTS]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
