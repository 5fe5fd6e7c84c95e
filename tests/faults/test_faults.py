"""Each fault in the middle of a job of 1,000 pictures: nothing is lost or doubled."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.conftest import START_STOP_S, running_service, wait_until
from tests.faults import harm
from tests.faults.checks import Expected, check
from tests.faults.kit import Arena, arena_in, entered, pictures
from tests.faults.soak import Soak
from tests.integration.helpers import files, put, zip_of


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Arena]:
    with arena_in(tmp_path_factory.mktemp("arena"), model) as arena:
        yield arena


@pytest.mark.parametrize(
    "faults",
    [
        (harm.kill_worker_in_work,),
        (harm.kill_every_worker, harm.kill_every_worker, harm.kill_every_worker, harm.empty_broker),
        (harm.kill_worker_parent, harm.kill_web),
        (harm.kill_reconciler, harm.kill_redis),
    ],
    ids=lambda faults: "-".join(dict.fromkeys(fault.__name__ for fault in faults)),
)
def test_a_job_outlives(faults: tuple[harm.Fault, ...], arena: Arena, expected: Expected) -> None:
    job_id = arena.submit()
    arena.begun(job_id)
    for fault in faults:
        fault(arena, random.Random(4))
    check(arena, job_id, expected)
    print(f"{', '.join(fault.__name__ for fault in faults)}: {len(expected):,} pictures")


def test_a_message_is_lost_with_the_worker_that_got_it(arena: Arena, expected: Expected) -> None:
    """Redis delivers it to a stopped worker, which is then killed."""
    reconciler = arena.process("reconcile")
    reconciler.suspend()
    with harm.paused(arena), arena.broker() as broker:
        job_id = arena.submit()
        broker.delete("bulk")  # this job's message is the one sent below
    tries = harm.send_to_a_stopped_worker(arena)
    harm.kill_worker_parent(arena, random.Random(4))
    reconciler.resume()
    check(arena, job_id, expected)
    print(f"a message was lost at the {tries}. try")


def test_a_worker_that_was_stalled_cannot_commit_over_its_successor(arena: Arena, expected: Expected) -> None:
    before = arena.counter("stale_commits")
    job_id = arena.submit()
    harm.stall_worker(arena, random.Random(4))
    wait_until(lambda: arena.counter("stale_commits") > before, "the stalled worker has tried to commit")
    check(arena, job_id, expected)
    print(f"{arena.counter('stale_commits') - before} commits came too late and changed nothing")


def test_redis_is_killed_four_times(arena: Arena, expected: Expected) -> None:
    jobs = [arena.submit() for _ in range(2)]
    for _ in range(4):
        old = arena.process("redis")
        harm.kill(old)
        wait_until(lambda old=old: arena.process("redis") != old, "Redis is started again")
        arena.job(jobs[0])
    for job_id in jobs:
        check(arena, job_id, expected)
    print(f"Redis was killed four times during {len(jobs)} jobs of {len(expected):,} pictures")


def test_the_web_server_is_killed_while_files_are_uploaded(arena: Arena, expected: Expected) -> None:
    """Four kills, while files come one by one and in packs. The client repeats what was not answered."""
    names, chance, added = sorted(expected)[:400], random.Random(4), []
    job_id = arena.http.post("/v1/jobs", json={"kind": "classification"}).json()["id"]

    def add(name: str) -> None:
        assert put(arena.http, job_id, name, pictures()[name]).status_code in (200, 201)
        added.append(name)

    def add_together(group: Sequence[str]) -> None:
        parts = [("keys", (None, json.dumps(group))), *files(*((name, pictures()[name]) for name in group))]
        answer = arena.http.post(f"/v1/jobs/{job_id}/items", files=parts)
        assert answer.status_code == 200 and {each["state"] for each in answer.json()["data"]} != {"rejected"}
        added.extend(group)

    requests = [partial(add, name) for name in names[:200]]
    requests += [partial(add_together, names[start : start + 10]) for start in range(200, len(names), 10)]
    with ThreadPoolExecutor(8) as pool:
        adding = [pool.submit(each) for each in chance.sample(requests, len(requests))]
        for count in range(50, len(names), 100):
            wait_until(lambda count=count: len(added) >= count, f"{count} files are there", START_STOP_S, every=0.02)
            harm.kill_web(arena, chance)
    for one in adding:
        one.result()
    assert arena.http.post(f"/v1/jobs/{job_id}/seal").status_code == 202
    check(arena, job_id, {name: expected[name] for name in names})
    print(f"the web server was killed four times while {len(names):,} files came")


def test_faults_at_random(arena: Arena, expected: Expected) -> None:
    """`./darkroom test --faults` runs more of this."""
    soak = Soak(arena, expected, random.Random(4))
    assert soak.run(3) >= len(expected)


def test_a_dataset_outlives_the_death_of_what_imports_and_trains(arena: Arena) -> None:
    """Given 10 Labels of 24 pictures, When processes die, Then each picture is there once, and one version is made."""
    names = sorted(pictures())[:240]
    content = zip_of(*((f"label {number % 10}/{name}", pictures()[name]) for number, name in enumerate(names)))
    arena.http.post("/v1/datasets", json={"name": "things"}).raise_for_status()
    send = {"content": content, "headers": {"Content-Type": "application/zip"}}
    with harm.paused(arena):
        job_id = arena.http.post("/v1/datasets/things/imports", **send).json()["id"]
    for fault in (harm.kill_worker_in_work, harm.kill_redis, harm.kill_every_worker):
        fault(arena, random.Random(4))
    job = arena.ended(job_id)
    assert job["counts"] == {"total": 240, "succeeded": 240, "failed": 0, "cancelled": 0}
    dataset = arena.http.get("/v1/datasets/things").json()
    assert [label["train"] + label["test"] for label in dataset["labels"]] == [24] * 10
    results = arena.http.get(f"/v1/jobs/{job_id}/results", params={"limit": 1000}).json()["data"]
    assert len({item["picture"] for item in results}) == 240
    params = {"preset": "head", "dataset": "things"}
    training = arena.http.post("/v1/jobs", json={"kind": "training", "params": params}).json()["id"]
    wait_until(lambda: arena.job(training)["state"] == "running", "the training runs")
    harm.kill_every_worker(arena, random.Random(4))
    done = arena.ended(training)
    assert done["state"] == "succeeded", done["error"]
    versions = arena.http.get("/v1/models", params={"classifier": "things"}).json()["data"]
    assert [card["version"] for card in versions] == [done["model"]]
    assert arena.http.delete("/v1/datasets/things").status_code == 204
    arena.http.delete("/v1/classifiers/things").raise_for_status()
    wait_until(lambda: not list((arena.service.data_dir / "blobs").glob("datasets/*/*/*")), "every byte is deleted")


def test_everything_is_killed_at_once_and_started_again(arena: Arena, expected: Expected) -> None:
    """The last test here, since it kills the service that the others share."""
    job_id = arena.submit()
    arena.begun(job_id)
    main = psutil.Process(arena.service.process.pid)
    for process in [main, *main.children(recursive=True)]:
        harm.kill(process)
    with running_service(arena.service.data_dir) as service, entered(service) as again:
        check(again, job_id, expected)
    print(f"after a kill of everything at once, a job of {len(expected):,} pictures went on to its end")
