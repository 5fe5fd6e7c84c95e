"""`GET /v1/queues` of the running service."""

from __future__ import annotations

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


def test_it_takes_no_parameters(http):
    problem(http.get("/v1/queues", params={"name": "bulk"}), 422)
