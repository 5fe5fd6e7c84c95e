"""`GET /v1/system` of the running service."""

from __future__ import annotations

from shared.redis.probe import BROKER_CALLS, JOB_STORE_CALLS
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


def test_the_start_checks_every_command_that_the_service_uses(service):
    """A service that has worked has used no command of Redis that the check of one's own Redis does not try."""
    with redis_of(service) as client:
        used = {name.split("_", 1)[1].split("|")[0].upper() for name in client.info("commandstats")}
    assert used - CONNECTING - {call[0] for call in (*BROKER_CALLS, *JOB_STORE_CALLS)} == set()


def test_it_takes_no_parameters(http):
    problem(http.get("/v1/system", params={"unit": "MB"}), 422)
