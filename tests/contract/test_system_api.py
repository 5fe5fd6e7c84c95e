"""`GET /v1/system` of the running service."""

from __future__ import annotations

from tests.integration.helpers import finished, png, problem, submit


def test_disk_space_is_in_bytes(http):
    finished(http, submit(http, ("a.png", png(1))))
    room = http.get("/v1/system").json()
    assert set(room) == {"disk", "blobs", "redis"} and room["blobs"] == "disk"
    disk, redis = room["disk"], room["redis"]
    assert set(disk) == {"total_bytes", "free_bytes", "used_bytes", "reserve_bytes"}
    assert 0 < disk["free_bytes"] < disk["total_bytes"] and 0 < disk["used_bytes"] < disk["total_bytes"]
    assert 0 < redis["used_bytes"] < redis["full_bytes"] < redis["max_bytes"] == 1024**3
    assert redis["warnings"] == []


def test_it_takes_no_parameters(http):
    problem(http.get("/v1/system", params={"unit": "MB"}), 422)
