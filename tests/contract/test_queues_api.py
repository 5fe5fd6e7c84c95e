"""`GET /v1/queues` of the running service."""

from __future__ import annotations

from contextlib import closing

from cli.stack.embedded_redis import configured_url
from shared.code import ServiceCode, own_code
from shared.jobs.workers import HEARTBEAT_TIMEOUT_S
from shared.redis.connection import connect
from shared.settings import Settings
from tests.conftest import wait_until
from tests.integration.helpers import finished, png, problem, submit

FIELDS = {"name", "jobs", "depth", "oldest_age_s", "workers", "rate", "per_minute"}


def test_every_queue_has_its_figures(http):
    finished(http, submit(http, ("a.png", png(1)), ("b.png", png(2))))
    answer = http.get("/v1/queues").json()
    queues = {queue["name"]: queue for queue in answer["data"]}
    assert list(queues) == ["interactive", "bulk", "train"]
    for queue in queues.values():
        assert set(queue) == FIELDS and queue["workers"] >= 1 and len(queue["per_minute"]) == 60
    assert sum(queues["interactive"]["per_minute"]) >= 2 and queues["interactive"]["rate"] > 0
    champion = http.get("/v1/models/aliases").json()["champion"]["version"]
    assert answer["reports"] >= 0
    assert {worker["model"] for worker in answer["workers"] if "interactive" in worker["queues"]} == {champion}


def test_the_workers_and_the_service_run_this_code(http, service):
    """`web` records its own at its start, for machines that join."""
    answer = http.get("/v1/queues").json()
    assert {answer["code"], *(worker["code"] for worker in answer["workers"])} == {own_code().version}
    with closing(connect(configured_url(Settings(data_dir=service.data_dir)))) as client:
        wait_until(lambda: ServiceCode(client).get() == own_code(), "web has recorded its code")


def test_each_worker_says_how_fast_it_is_and_that_it_lives(http):
    finished(http, submit(http, ("a.png", png(3))))

    def workers():
        return http.get("/v1/queues").json()["workers"]

    wait_until(lambda: sum(worker["rate"] for worker in workers()) > 0, "the heartbeat tells the speed")
    assert all(0 <= worker["silent_s"] <= HEARTBEAT_TIMEOUT_S for worker in workers())


def test_it_takes_no_parameters(http):
    problem(http.get("/v1/queues", params={"name": "bulk"}), 422)
