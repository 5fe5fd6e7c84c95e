"""`GET /v1/system` of the running service."""

from __future__ import annotations

from shared.redis.probe import BROKER_CALLS, JOB_STORE_CALLS, NOTICES
from tests.integration.helpers import finished, png, problem, redis_of, submit

#: Commands that connecting and the check itself need, and one that Valkey calls by itself.
CONNECTING = {"HELLO", "AUTH", "SELECT", "CLIENT", "CONFIG"}
CONNECTING |= {"MULTI", "EXEC", "WATCH", "UNWATCH", "EXPIRE", "DEL", "UNLINK"}


def test_disk_space_is_in_bytes(http):
    finished(http, submit(http, ("a.png", png(1))))
    room = http.get("/v1/system").json()
    assert set(room) == {"disk", "blobs", "redis"} and room["blobs"] == "disk"
    disk, redis = room["disk"], room["redis"]
    assert set(disk) == {"total_bytes", "free_bytes", "used_bytes", "reserve_bytes"}
    assert 0 < disk["free_bytes"] < disk["total_bytes"] and 0 < disk["used_bytes"] < disk["total_bytes"]
    assert 0 < redis["used_bytes"] < redis["full_bytes"] < redis["max_bytes"] == 1024**3
    assert redis["warnings"] == []


def test_the_start_checks_every_command_that_the_service_uses(http, service):
    """A service that works uses no command of Redis that the check of one's own Redis does not try."""
    with redis_of(service) as client:
        client.config_resetstat()  # other tests use commands of their own
        job_id = submit(http, ("a.png", png(1)), ("b.png", png(2)))
        finished(http, job_id)
        for path in ("results", "results.csv", "results.zip", "labels", "items", "items/000001/image"):
            http.get(f"/v1/jobs/{job_id}/{path}").raise_for_status()
        http.put(f"/v1/jobs/{job_id}/items/000001/label", json={"label": "cat"})
        for path in (
            "/v1/jobs",
            "/v1/queues",
            "/v1/system",
            "/v1/models",
            "/v1/classifiers",
            "/v1/datasets",
            "/metrics",
        ):
            http.get(path).raise_for_status()
        http.delete(f"/v1/jobs/{job_id}").raise_for_status()
        used = {name.split("_", 1)[1].split("|")[0].upper() for name in client.info("commandstats")}
    assert used - CONNECTING - NOTICES - {call[0] for call in (*BROKER_CALLS, *JOB_STORE_CALLS)} == set()


def test_it_takes_no_parameters(http):
    problem(http.get("/v1/system", params={"unit": "MB"}), 422)
