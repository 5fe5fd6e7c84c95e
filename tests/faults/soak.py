"""Random faults, as many as wanted: `./darkroom test --faults --rounds 100 --seed 1`.

Jobs run all the time, and each is checked as in the other tests. Online clients send one picture after the other, and
wait for its answer. The seed determines the faults and their times, but not what they hit.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx

from tests.conftest import wait_until
from tests.faults.checks import Expected, check, check_answer, check_deleted, expected_of
from tests.faults.harm import FAULTS
from tests.faults.kit import MIB, Arena, arena_in, pictures
from tests.faults.tiny import tiny_network
from tests.integration.helpers import results

#: Default of the most seconds between two faults.
PAUSE_S = 2.0
#: MiB by which a program may grow.
GROWTH_MIB = 64
#: Jobs that run at a time, and clients with one picture each.
JOBS, CLIENTS = 3, 4


class Soak:
    """A schedule of faults and jobs for a service without other clients."""

    def __init__(self, arena: Arena, expected: Expected, chance: random.Random, pause_s: float = PAUSE_S) -> None:
        self._arena, self._expected, self._chance, self._pause_s = arena, expected, chance, pause_s
        self._over = threading.Event()

    def run(self, rounds: int) -> int:
        """Cause `rounds` faults while jobs run, check every job, and return the number of items."""
        check(self._arena, self._arena.submit(), self._expected)  # every process grows with its first chunks
        before = self._arena.own_bytes()
        with ThreadPoolExecutor(JOBS + CLIENTS) as pool:
            feeders = [pool.submit(self._feed) for _ in range(JOBS)]
            clients = [pool.submit(self._ask, number) for number in range(CLIENTS)]
            try:
                done = self._hurt(rounds, [*feeders, *clients])
            finally:
                self._over.set()
        jobs, crashed_in_jobs = _sums(feeders)
        answers, crashed_alone = _sums(clients)
        items, crashed = jobs * len(self._expected), crashed_in_jobs + crashed_alone
        print(f"{sum(done.values())} faults, {items:,} items: nothing lost, nothing twice; {dict(done)}")
        print(f"{answers:,} pictures of {CLIENTS} online clients: each answered")
        self._check_memory(before)
        print(f"{crashed} items were given up with the code crashed, and done when they were tried again", flush=True)
        return items

    def _check_memory(self, before: dict[str, int]) -> None:
        """Assert that no running program has grown. Some may be restarting."""
        grown = {name: (size - before[name]) / MIB for name, size in self._arena.own_bytes().items()}
        print("MiB more than before: " + ", ".join(f"{name} {size:.0f}" for name, size in grown.items()))
        assert max(grown.values()) < GROWTH_MIB

    def _hurt(self, rounds: int, feeders: list[Future[tuple[int, int]]]) -> Counter[str]:
        began, done = time.monotonic(), Counter[str]()
        for number in range(1, rounds + 1):
            time.sleep(self._chance.uniform(0, self._pause_s))
            if any(feeder.done() for feeder in feeders):
                break  # it has failed, and its exception says how
            fault = self._chance.choice(FAULTS)
            print(f"{time.monotonic() - began:7.1f} s  {number:5}  {fault.__name__}", flush=True)
            fault(self._arena, self._chance)
            done[fault.__name__] += 1
        return done

    def _feed(self) -> tuple[int, int]:
        """Submit one job after another until the end; return the numbers of jobs and of crashed items."""
        jobs = crashed = 0
        while not self._over.is_set():
            job_id = self._arena.submit()
            crashed += self._retried(job_id)
            check(self._arena, job_id, self._expected)
            jobs += 1
        return jobs, crashed

    def _ask(self, client: int) -> tuple[int, int]:
        """Send one picture after the other and wait for its answer; return the numbers of answers and of crashes."""
        answers = crashed = 0
        for name in itertools.cycle(sorted(self._expected)[client::CLIENTS]):
            if self._over.is_set():
                break
            headers = {"Content-Type": "image/png", "Prefer": "wait=10", "Idempotency-Key": uuid4().hex}
            answer = wait_until(partial(self._sent, pictures()[name], headers), "the request is answered")
            assert answer.status_code in (200, 202), answer.text
            job_id = answer.json()["id"]
            crashed += self._retried(job_id)
            (item,) = results(self._arena.http, job_id)
            check_answer(item, self._expected[name])
            check_deleted(self._arena, job_id)
            answers += 1
        return answers, crashed

    def _sent(self, content: bytes, headers: dict[str, str]) -> httpx.Response | None:
        """Return the answer, or None while the same request, whose answer was lost, is still being processed."""
        answer = self._arena.http.post("/v1/jobs", content=content, headers=headers)
        return None if answer.status_code == 409 else answer

    def _retried(self, job_id: str) -> int:
        """Wait for the job's end; retry pictures that failed since their workers were killed too often."""
        crashed = 0
        while failed := self._arena.ended(job_id)["counts"]["failed"]:
            items = results(self._arena.http, job_id, state="failed")
            assert {item["error"]["code"] for item in items} == {"crashed"}
            self._arena.http.post(f"/v1/jobs/{job_id}/retry")
            crashed += failed
        return crashed


def _sums(threads: Sequence[Future[tuple[int, int]]]) -> tuple[int, int]:
    first, second = zip(*(thread.result() for thread in threads), strict=True)
    return sum(first), sum(second)


def main() -> None:
    """Run, and print the seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="faults (default: 100)")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule (default: another one each time)")
    parser.add_argument(
        "--pause", type=float, default=PAUSE_S, help=f"most seconds between faults (default: {PAUSE_S})"
    )
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_network(Path(folder) / "tiny")
        with arena_in(Path(folder) / "data", model) as arena:
            try:
                Soak(arena, expected_of(model, pictures()), random.Random(seed), options.pause).run(options.rounds)
            except BaseException:
                print(f"failed with seed {seed}", flush=True)
                raise


if __name__ == "__main__":
    main()
