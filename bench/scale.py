"""What 100,000 pictures in one job and 2,000 jobs of one picture cost: memory of each program, and of Redis per item.

DARKROOM_CIFAR10=cifar10.npz python -m bench.scale

Memory is what a program has for itself (USS), its processes added up. The time of a status request is the median of
200, for the job of the first line, then for the big one.
"""

from __future__ import annotations

import argparse
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from bench.service import archive, pngs, running_service, submit, wait

#: Words of the command by which a program is known.
PROGRAMS = {"web": "gunicorn", "classify": "classify-", "reconcile": "worker.reconcile", "redis": "redis.conf"}
PICTURES, JOBS, CLIENTS = 100_000, 2_000, 8
MIB = 1024 * 1024


def memory(service: psutil.Process) -> dict[str, float]:
    """Memory of each program of the service, in MiB."""
    processes = [(" ".join(one.cmdline()), one.memory_full_info().uss) for one in service.children(recursive=True)]
    return {
        name: sum(uss for words, uss in processes if mark in words and "cli.child" not in words) / MIB
        for name, mark in PROGRAMS.items()
    }


def status_ms(http: httpx.Client, job_id: str) -> float:
    """Median time of a status request, in ms."""
    times = []
    for _ in range(200):
        begin = time.perf_counter()
        http.get(f"/v1/jobs/{job_id}").raise_for_status()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1000


def many_jobs(http: httpx.Client, pictures: list[bytes]) -> None:
    """Submit a job for each picture, several at a time, and wait for all."""

    def one(picture: bytes) -> str:
        answer = http.post("/v1/jobs", content=picture, headers={"Content-Type": "image/png"})
        answer.raise_for_status()
        return str(answer.json()["id"])

    with ThreadPoolExecutor(CLIENTS) as pool:
        for job_id in list(pool.map(one, pictures)):
            wait(http, job_id)


def row(name: str, sizes: dict[str, float], status: float, seconds: float) -> None:
    """Print a line of the table."""
    columns = " ".join(f"{size:9.1f}" for size in sizes.values())
    print(f"{name:28} {columns} {status:10.2f} {seconds:8.1f}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=PICTURES, help=f"pictures of the big job (default: {PICTURES})")
    parser.add_argument("--jobs", type=int, default=JOBS, help=f"jobs of one picture (default: {JOBS})")
    options = parser.parse_args()
    with running_service() as http:
        service = psutil.Process().children()[0]
        first = submit(http, archive(pngs(1000)))
        wait(http, first)
        print(f"{'MiB':28} " + " ".join(f"{name:>9}" for name in PROGRAMS) + f" {'status, ms':>10} {'seconds':>8}")
        before = memory(service)
        row("after 1,000 pictures", before, status_ms(http, first), 0)
        begin = time.perf_counter()
        big = submit(http, archive(pngs(options.items)))
        wait(http, big)
        seconds, after = time.perf_counter() - begin, memory(service)
        row(f"and {options.items:,} in one job", after, status_ms(http, big), seconds)
        begin = time.perf_counter()
        many_jobs(http, pngs(options.jobs))
        seconds = time.perf_counter() - begin
        row(f"and {options.jobs:,} jobs of one", memory(service), status_ms(http, big), seconds)
        per_item = (after["redis"] - before["redis"]) * MIB / options.items
    print(f"Redis: {per_item:.0f} bytes per item of the big job")


if __name__ == "__main__":
    main()
