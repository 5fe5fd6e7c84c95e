"""Pictures that kill or block the process that decodes them, in a job of 1,000 and in jobs of one picture each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.jobs.chunks import CHUNK_ITEMS, MAX_DEATHS
from tests.faults.checks import Expected, check_deleted, check_results
from tests.faults.kit import Arena, arena_in, pictures
from tests.faults.poison import HANGS, KILLS, TIMEOUT_S, poison
from tests.integration.helpers import zip_of

#: In two chunks, so that no worker holds one when the other does harm for the first time.
KILLER, SLEEPER = f"{100:05}.png", f"{3 * CHUNK_ITEMS + 100:05}.png"
#: Pictures that are a job each, which workers claim together: those, and as many others.
ALONE = (KILLER, SLEEPER, *(f"{number:05}.png" for number in range(200, 222)))


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Arena]:
    """Run a service whose workers are harmed by poison."""
    with arena_in(tmp_path_factory.mktemp("poisoned"), model, app="tests.faults.poisoned") as arena:
        yield arena


def test_a_picture_that_kills_or_stops_its_worker_fails_alone(arena: Arena, expected: Expected) -> None:
    """Given two such pictures in one job, then they fail after some deaths, and all others are classified.

    The first kills its process; the other hangs, and Celery's hard time limit ends its process. It is the same if each
    is a job of its own, among others.
    """
    good = pictures()
    harm = {KILLER: poison(good[KILLER], KILLS), SLEEPER: poison(good[SLEEPER], HANGS)}
    contents = good | harm
    job_id = arena.submit(zip_of(*contents.items()))
    with ThreadPoolExecutor(len(ALONE)) as pool:
        alone = list(pool.map(lambda name: arena.submit(zip_of((name, contents[name]))), ALONE))
    check_results(arena, job_id, expected, dict.fromkeys(harm, "crashed"))
    for name, each in zip(ALONE, alone, strict=True):
        check_results(arena, each, {name: expected[name]}, {name: "crashed"} if name in harm else {})
    log = arena.service.log()
    lost, late = log.count("the lease of chunk"), log.count(f"Hard time limit ({TIMEOUT_S}s) exceeded")
    assert lost >= 2 * MAX_DEATHS
    assert late >= MAX_DEATHS
    check_deleted(arena, job_id)
    print(f"{lost} chunks were lost, {late} tasks ended by the time limit; of {len(good):,} pictures the guilty failed")
