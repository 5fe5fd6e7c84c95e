"""How long one picture takes while nothing else is to do, and while a job of 20,000 pictures is.

DARKROOM_CIFAR10=cifar10.npz python -m bench.interactive

The time is a client's: from the request, with `Prefer: wait`, to the answer with the result in it. While the big job is
in work a picture comes every 0.2 s, so that pictures do not wait for each other.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import httpx

from bench.service import archive, pngs, running_service, submit, wait

#: Seconds from one answer to the next request, and pictures that are sent while nothing else is to do.
PAUSE_S, IDLE_PICTURES = 0.2, 200


def seconds(http: httpx.Client, picture: bytes) -> float:
    """Send one picture and wait for its result."""
    headers = {"Content-Type": "image/png", "Prefer": "wait=30"}
    begin = time.perf_counter()
    answer = http.post("/v1/jobs", content=picture, headers=headers)
    took = time.perf_counter() - begin
    if answer.status_code != 200 or answer.json()["counts"]["succeeded"] != 1:
        raise RuntimeError(f"no result: {answer.status_code} {answer.text[:200]}")
    return took


def measured(http: httpx.Client, pictures: list[bytes], goes_on: Callable[[int], bool]) -> list[float]:
    """Times of one picture after the other, as long as `goes_on` says so of their number."""
    times: list[float] = []
    while goes_on(len(times)):
        times.append(seconds(http, pictures[len(times) % len(pictures)]))
        time.sleep(PAUSE_S)
    return times


def line(name: str, times: list[float]) -> float:
    """Print a line of the table, times in ms; return the 95th percentile."""
    p95 = statistics.quantiles(times, n=20)[-1]
    print(f"{name:24} {len(times):6} {statistics.median(times) * 1000:8.1f} {p95 * 1000:8.1f} {max(times) * 1000:8.1f}")
    return p95


def main() -> None:
    """Print the table, and the ratio of the two 95th percentiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000, help="pictures of the big job (default: 20000)")
    options = parser.parse_args()
    pictures = pngs(options.items)
    content = archive(pictures)
    with running_service() as http:
        measured(http, pictures, lambda count: count < 20)
        idle = measured(http, pictures, lambda count: count < IDLE_PICTURES)
        job_id = submit(http, content)
        busy = measured(http, pictures, lambda _: not http.get(f"/v1/jobs/{job_id}").json()["done"])
        counts = wait(http, job_id)["counts"]
    print(f"{'one picture, ms':24} {'number':>6} {'median':>8} {'p95':>8} {'max':>8}")
    ratio = 1 / line("nothing else to do", idle)
    ratio *= line(f"{options.items:,} pictures in work", busy)
    print(f"p95 busy / idle: {ratio:.2f}; the big job: {counts}")


if __name__ == "__main__":
    main()
