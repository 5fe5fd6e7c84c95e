"""Whatever Redis refuses, no call gets a 500, and /readyz names the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from cli.stack.embedded_redis import free_port, redis_server_path
from shared.services import Services
from shared.settings import Settings
from tests.conftest import running_redis
from tests.faults.proxy import Proxy, running_proxy
from tests.shared.redis.test_refusals import REFUSALS
from web.app import create_app

#: Values of the variables in paths.
PATH = {"job_id": "a" * 32, "item": "000001", "version": "distil-20261130-33471de9", "path": "api.js"}
#: A call that cannot work without Redis.
JOBS = "/v1/jobs"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    port = free_port()
    with (
        running_redis(redis_server_path(), tmp_path_factory.mktemp("redis"), port),
        running_proxy(port) as proxy,
    ):
        yield proxy


@pytest.fixture(scope="module")
def app(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    settings = Settings(redis_url=f"redis://127.0.0.1:{proxy.port}/0", data_dir=tmp_path_factory.mktemp("data"))
    services = Services.build(settings)
    yield create_app(services)
    services.close()


def calls(app: Flask) -> Iterator[tuple[str, str]]:
    """Yield the method and the path of every call."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda name: PATH.get(name[1], "x"), rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, path


def status(client: FlaskClient, method: str, path: str) -> int:
    with client.open(path, method=method, json={}) as response:
        return response.status_code


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.split()[0])
def test_no_call_fails_unexpectedly(app: Flask, proxy: Proxy, refusal: str) -> None:
    client = app.test_client()
    proxy.refusal = refusal
    try:
        statuses = {call: status(client, *call) for call in calls(app)}
        ready = client.get("/readyz")
        problem = client.get(JOBS)
    finally:
        proxy.refusal = ""
    assert len(statuses) > 50
    assert {call: status for call, status in statuses.items() if status >= 500 and status != 503} == {}
    assert statuses["GET", JOBS] == statuses["POST", JOBS] == 503
    assert REFUSALS[refusal] in problem.json["detail"] and problem.headers["Retry-After"]
    checks = ready.json["checks"]
    assert ready.status_code == 503
    for name in ("redis", "queue"):
        assert REFUSALS[refusal] in checks[name]["detail"] and checks[name]["since"], checks
    assert checks["storage"]["ok"]
