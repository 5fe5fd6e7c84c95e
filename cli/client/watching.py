"""Follow a job: changes of its status, items as they finish, metrics of a training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from cli.client.errors import TimedOut
from cli.client.transport import Transport, job_path, json_of, retry_after_s

#: Seconds that a request waits for a change: less than the 30 allowed, and than the timeouts of many proxies.
WAIT_S = 25
#: The interval between two polls is this share of the elapsed time, within these limits in seconds: a short job is
#: followed closely, a long one costs little.
INTERVAL_SHARE, MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 0.05, 1.0
#: Entries on one page.
PAGE = 500

Json = dict[str, Any]
#: Called with the Job at the start and after each change.
ProgressCallback = Callable[[Json], None]


def watch(transport: Transport, job_id: str, timeout_s: float | None) -> Iterator[Json]:
    """Yield the job now and after each change until it is done. Raises TimedOut, Unreachable and Refused."""
    began = time.monotonic()
    deadline = float("inf") if timeout_s is None else began + timeout_s
    etag, wait_s = "", 0
    while True:
        asked = time.monotonic()
        headers = {"If-None-Match": etag} if etag else {}
        answer = transport.call("GET", job_path(job_id), headers=headers, params={"wait": wait_s})
        if answer.status_code != 304:
            job, etag = json_of(answer), answer.headers.get("ETag", "")
            yield job
            if job["done"]:
                return
        now = time.monotonic()
        pause = min(MAX_INTERVAL_S, max(MIN_INTERVAL_S, INTERVAL_SHARE * (now - began)))
        if answer.status_code == 304 and now - asked < wait_s / 2:  # the service has too many waiting requests
            pause = max(pause, retry_after_s(answer) or 0.0)
        if now >= deadline:
            raise TimedOut(f"job {job_id} did not finish within {timeout_s:g} s; it is still running")
        time.sleep(min(pause, deadline - now))
        wait_s = int(max(0, min(WAIT_S, deadline - time.monotonic())))


def results(transport: Transport, job_id: str, timeout_s: float | None, progress: ProgressCallback) -> Iterator[Json]:
    """Yield each item once, as it finishes, until the job is done. Raises TimedOut, Unreachable and Refused."""
    query: Json = {"limit": PAGE}
    for job in watch(transport, job_id, timeout_s):
        progress(job)
        while True:
            answer = transport.call("GET", job_path(job_id, "results"), params=query)
            page = json_of(answer)
            yield from page["data"]
            if page["done"]:
                return
            query["after"] = page["next"]
            if "next" not in answer.links:  # a page that is short or empty need not be the last one
                break


def metrics(transport: Transport, job_id: str, timeout_s: float | None, progress: ProgressCallback) -> Iterator[Json]:
    """Yield the rows of a training until it is done. Raises TimedOut, Unreachable and Refused."""
    after = 0
    for job in watch(transport, job_id, timeout_s):
        progress(job)
        while True:
            page = transport.json("GET", job_path(job_id, "metrics"), params={"after": after, "limit": PAGE})
            yield from page["data"]
            after = page["next"]
            if len(page["data"]) < PAGE:
                break
