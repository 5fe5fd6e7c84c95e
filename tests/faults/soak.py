"""Faults at random, for as long as asked: `./darkroom test --faults --rounds 100 --seed 1`.

There is always a job in work. Each that is over is checked as in the other tests; at the end all are. The seed decides
which faults come and when; what they meet is up to the machine.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.kit import FAULTS, Answer, Arena, arena_in, check
from tests.versions_kit import apart, small_network

#: Seconds from one fault to the next, at most.
PAUSE_S = 2.0
#: Jobs that are in work at a time.
JOBS = 3


class Soak:
    """A schedule of faults over jobs of a service that nobody else uses."""

    def __init__(self, arena: Arena, expected: dict[str, Answer], chance: random.Random) -> None:
        self._arena, self._expected, self._chance = arena, expected, chance
        self._jobs: list[str] = []
        self.faults: Counter[str] = Counter()
        self.items = 0

    def run(self, rounds: int) -> None:
        """Bring so many faults about, then see that every job ends as it should."""
        began = time.monotonic()
        for number in range(1, rounds + 1):
            time.sleep(self._chance.uniform(0, PAUSE_S))
            self._keep_busy()
            fault = self._chance.choice(FAULTS)
            print(f"{time.monotonic() - began:7.1f} s  {number:5}  {fault.__name__}", flush=True)
            fault(self._arena, self._chance)
            self.faults[fault.__name__] += 1
        for job_id in self._jobs:
            self._check(job_id)
        print(f"{rounds} faults, {self.items:,} items: nothing lost, nothing twice; {dict(self.faults)}", flush=True)

    def _keep_busy(self) -> None:
        over = [job_id for job_id in self._jobs if self._arena.job(job_id)["done"]]
        for job_id in over:
            self._check(job_id)
        self._jobs = [job_id for job_id in self._jobs if job_id not in over]
        self._jobs += [self._arena.submit() for _ in range(JOBS - len(self._jobs))]

    def _check(self, job_id: str) -> None:
        check(self._arena, job_id, self._expected)
        self.items += len(self._expected)


def main() -> None:
    """Run, and say with which seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="faults (default: 100)")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule (default: another one each time)")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model = apart(small_network, Path(folder) / "small")
        with arena_in(Path(folder) / "data", model) as arena:
            try:
                Soak(arena, arena.undisturbed(), random.Random(seed)).run(options.rounds)
            except BaseException:
                print(f"failed with seed {seed}", flush=True)
                raise


if __name__ == "__main__":
    main()
