"""Follow a job: each change of its status, its items as they finish, the rows of a training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from cli.client.errors import TimedOut
from cli.client.transport import Transport, job_path, json_of, retry_after_s

#: Seconds that one request waits for a change: less than the 30 allowed, and than many proxies' patience.
WAIT_S = 25
#: A tenth of the time passed lies between two looks, so that a short job is followed closely and a long one costs
#: little; but no less, and no more, than these seconds.
SHARE, LEAST_S, MOST_S = 0.1, 0.05, 1.0
#: Entries on one page.
PAGE = 500

Json = dict[str, Any]
#: Called with the Job, at first and after each change.
Told = Callable[[Json], None]


def watch(transport: Transport, job_id: str, timeout_s: float | None) -> Iterator[Json]:
    """The job, now and after each change, until it is done. Raises TimedOut, Unreachable and Refused."""
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
        pause = min(MOST_S, max(LEAST_S, SHARE * (now - began)))
        if answer.status_code == 304 and now - asked < wait_s / 2:  # the service has no room for waiting just now
            pause = max(pause, retry_after_s(answer) or 0.0)
        if now >= deadline:
            raise TimedOut(f"job {job_id} was not over after {timeout_s:g} s; it goes on")
        time.sleep(min(pause, deadline - now))
        wait_s = int(max(0, min(WAIT_S, deadline - time.monotonic())))


def results(transport: Transport, job_id: str, timeout_s: float | None, progress: Told) -> Iterator[Json]:
    """Each item once, as it finishes, until the job is done. Raises TimedOut, Unreachable and Refused."""
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
            if "next" not in answer.links:  # a page may be short, or empty, and not be the last one
                break


def rows(transport: Transport, job_id: str, timeout_s: float | None, progress: Told) -> Iterator[Json]:
    """The rows of a training, as they come, until it is done. Raises TimedOut, Unreachable and Refused."""
    after = 0
    for job in watch(transport, job_id, timeout_s):
        progress(job)
        while True:
            page = transport.json("GET", job_path(job_id, "metrics"), params={"after": after, "limit": PAGE})
            yield from page["data"]
            after = page["next"]
            if len(page["data"]) < PAGE:
                break
