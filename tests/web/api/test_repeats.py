"""A repeated request with an `Idempotency-Key` to calls that need no body, over the app."""

from __future__ import annotations

import pytest
from flask import Flask

from shared.domain.entities import JobKind
from shared.services import Services
from tests.shared.kit import upload
from tests.web.api.kit import Caller, faults


@pytest.fixture
def people() -> dict[str, str]:
    return {"ann": "submit"}


@pytest.mark.parametrize("body", [b"", b"{}", bytes(20 * 1024 * 1024)], ids=["none", "short", "long"])
def test_a_repeat_of_a_call_that_reads_no_body(app: Flask, parts: Services, body: bytes) -> None:
    job = parts.store.create(JobKind.CLASSIFICATION, owner="ann", retention_s=3600)
    parts.store.add(job, [upload("a")], 10)
    ann, key = Caller(app, "ann", f"/v1/jobs/{job}"), {"Idempotency-Key": "mine"}
    first = ann("POST", "/seal", 202, data=body, headers=key)
    again = ann("POST", "/seal", 202, data=body, headers=key)
    assert (again.json, again.headers["Idempotency-Replayed"]) == (first.json, "true")
    assert faults(ann("POST", "/seal", 422, data=body + b" ", headers=key)) == ["Idempotency-Key"]


def test_a_body_that_is_cut_short_is_not_stored(app: Flask, parts: Services) -> None:
    """Given a request whose body breaks off behind what the call needs, Then a whole repeat is not refused."""
    job = parts.store.create(JobKind.CLASSIFICATION, owner="ann", retention_s=3600)
    ann, key = Caller(app, "ann", f"/v1/jobs/{job}"), {"Idempotency-Key": "mine"}
    ann("POST", "/cancel", 202, data=b"{", headers=key, environ_overrides={"CONTENT_LENGTH": "2"})
    assert "Idempotency-Replayed" not in ann("POST", "/cancel", 200, data=b"{}", headers=key).headers


def test_a_body_that_is_too_long_leaves_its_key_free(app: Flask) -> None:
    """Given a request that is refused for the length of its body, Then its key can be used for another one."""
    app.config["MAX_CONTENT_LENGTH"] = 100
    ann, key = Caller(app, "ann", "/v1/jobs"), {"Idempotency-Key": "mine"}
    ann("POST", "", 413, data=bytes(101), headers=key)
    ann("POST", "", 201, json={"kind": "classification"}, headers=key)
