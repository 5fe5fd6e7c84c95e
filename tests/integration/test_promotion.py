"""The champion changes under load: no item fails, each job keeps its version, and every worker follows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from shared.domain.entities import Queue
from shared.services import Services
from tests.conftest import Service, wait_until
from tests.integration.helpers import cifar10, files, finished, open_job, put, results, submit
from tests.versions_kit import services_of, shipped, turned_network, version_folder
from tests.worker.kit import threads

__all__ = ["threads"]  # a network is built in this process

PICTURES = cifar10()
#: Processes that classify.
WORKERS = 2


@pytest.fixture
def parts(service: Service) -> Iterator[Services]:
    """Return the service's parts once every worker holds the shipped model."""
    with services_of(service) as services:
        followed(services, shipped())
        yield services


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return turned_network(tmp_path_factory.mktemp("turned"))


@pytest.fixture
def turned(parts: Services, folder: Path) -> str:
    """Publish a version that predicts other labels than the shipped one, so that its predictions are recognizable."""
    return parts.registry.publish(folder).version


def promote(http: httpx.Client, version: str) -> None:
    answer = http.put("/v1/models/aliases/champion", json={"version": version}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


def held(parts: Services) -> list[str | None]:
    """Return the versions that the classifying processes hold."""
    return [worker.model for worker in parts.workers.alive() if Queue.INTERACTIVE in worker.queues]


def followed(parts: Services, version: str) -> None:
    """Wait until every worker holds `version`."""
    wait_until(lambda: held(parts) == [version] * WORKERS, f"every worker holds {version}")


def answers(http: httpx.Client, job_id: str) -> dict[str, int]:
    """Return the best label's index for each picture."""
    return {item["filename"]: item["predictions"][0]["index"] for item in results(http, job_id, limit=1000)}


def reference(http: httpx.Client, version: str) -> dict[str, int]:
    """Return one version's predictions for the pictures."""
    promote(http, version)
    job = finished(http, submit(http, *PICTURES))
    assert job["model"] == version
    return answers(http, job["id"])


def test_every_worker_follows_in_time(http: httpx.Client, parts: Services, turned: str) -> None:
    """Given a busy service, when the champion changes and is rolled back, then each worker follows.

    The first change is to a model that no worker has loaded before.
    """
    for job in range(3):
        submit(http, *((f"{job}-{turn}-{name}", content) for turn in range(4) for name, content in PICTURES))
    for version in [turned, shipped()] * 3:
        promote(http, version)
        followed(parts, version)


def test_switching_under_load(service: Service, http: httpx.Client, turned: str) -> None:
    """Given running jobs, when the champion changes repeatedly, then every prediction is by its job's version."""
    expected = {version: reference(http, version) for version in (turned, shipped())}
    assert all(label == (expected[shipped()][name] + 1) % 10 for name, label in expected[turned].items())
    many = [(f"{turn}/{name}", content) for turn in range(2) for name, content in PICTURES]
    jobs: dict[str, str] = {}

    def send(version: str) -> None:
        with service.client() as client:
            answer = client.post("/v1/jobs", files=files(*many)).json()
        jobs[answer["id"]] = answer["model"]
        assert answer["model"] == version  # the alias changed before the job was created

    in_flight = []
    with ThreadPoolExecutor(4) as pool:
        for version in [turned, shipped()] * 2:
            promote(http, version)
            in_flight.append(sum(not http.get(f"/v1/jobs/{job_id}").json()["done"] for job_id in jobs))
            for sent in [pool.submit(send, version) for _ in range(2)]:
                sent.result()
    assert any(in_flight), "no job was running when the champion changed"
    for job_id, version in jobs.items():
        job = finished(http, job_id)
        assert (job["model"], job["counts"]["succeeded"]) == (version, len(many))
        found = answers(http, job_id)
        assert {name: label for name, label in found.items() if label != expected[version][name.split("/")[1]]} == {}


def test_an_open_job_keeps_its_version(http: httpx.Client, parts: Services, turned: str) -> None:
    job_id = open_job(http)
    promote(http, turned)
    followed(parts, turned)
    for name, content in PICTURES[:3]:
        assert put(http, job_id, name, content).status_code == 201
    http.post(f"/v1/jobs/{job_id}/seal")
    assert finished(http, job_id)["model"] == shipped()
    found = answers(http, job_id)
    promote(http, shipped())
    again = submit(http, *PICTURES[:3])
    finished(http, again)
    assert found == answers(http, again)


def test_a_champion_that_cannot_be_loaded_stops_no_worker(
    service: Service, http: httpx.Client, parts: Services, tmp_path: Path
) -> None:
    """Its own jobs fail with the reason, jobs of other versions continue, and one PUT repairs it."""
    processes = {child.pid for child in psutil.Process(service.process.pid).children(recursive=True)}
    pinned = open_job(http)
    broken = parts.registry.publish(version_folder(tmp_path, exported=b"no network")).version
    promote(http, broken)
    wait_until(lambda: broken in service.log(), "a worker has tried to load it")
    failed = finished(http, submit(http, *PICTURES[:2]))
    assert (failed["state"], failed["error"]["code"], broken in failed["error"]["detail"]) == (
        "failed",
        "model_unusable",
        True,
    )
    put(http, pinned, "a", PICTURES[0][1])
    http.post(f"/v1/jobs/{pinned}/seal")
    assert finished(http, pinned)["counts"]["succeeded"] == 1
    assert held(parts) == [shipped()] * WORKERS
    promote(http, shipped())
    assert finished(http, submit(http, *PICTURES[:2]))["counts"]["succeeded"] == 2
    assert {child.pid for child in psutil.Process(service.process.pid).children(recursive=True)} == processes
