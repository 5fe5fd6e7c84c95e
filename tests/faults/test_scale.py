"""No process grows with the number of past items and jobs; `./darkroom bench status` measures more of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.kit import MIB, Arena, arena_in
from tests.integration.helpers import png, zip_of

ITEMS, JOBS = 5_000, 200
#: Bytes by which all processes of a program may grow together, and bytes in Redis per item with its result.
GROWTH_BYTES, ITEM_BYTES = 24 * MIB, 1200


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Arena]:
    with arena_in(tmp_path_factory.mktemp("arena"), model, app="worker.runtime.app", classify_workers="1") as arena:
        yield arena


def one_job_of(arena: Arena, count: int) -> None:
    """Run one job of `count` pictures in a zip."""
    content = zip_of(*((f"{number}.png", png()) for number in range(count)))
    answer = arena.http.post("/v1/jobs", content=content, headers={"Content-Type": "application/zip"})
    assert arena.ended(answer.json()["id"])["counts"]["succeeded"] == count


def jobs_of_one(arena: Arena, count: int) -> None:
    """Run `count` jobs of one picture, several at a time."""

    def one(_: int) -> None:
        answer = arena.http.post("/v1/jobs", content=png(), headers={"Content-Type": "image/png", "Prefer": "wait=30"})
        assert answer.json()["counts"]["succeeded"] == 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(count)))


def test_memory_does_not_grow_with_what_was_done(arena: Arena) -> None:
    one_job_of(arena, ITEMS)
    jobs_of_one(arena, 40)
    with arena.redis() as redis:
        before, records = arena.own_bytes(), redis.info("memory")["used_memory"]
        one_job_of(arena, ITEMS)
        item_bytes = (redis.info("memory")["used_memory"] - records) / ITEMS
        jobs_of_one(arena, JOBS)
    after = arena.own_bytes()
    grown = {name: after[name] - before[name] for name in before if name != "redis"}
    more = {name: round(size / MIB, 1) for name, size in grown.items()}
    print(f"{item_bytes:.0f} bytes in Redis per item; MiB more of {more}")
    assert min(before.values()) > 0
    assert max(grown.values()) < GROWTH_BYTES, grown
    assert item_bytes < ITEM_BYTES
