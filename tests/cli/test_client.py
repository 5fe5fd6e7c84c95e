"""`darkroom.Client` against the running service, and against a faulty relay in front of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from cli.client.sending import in_parallel
from cli.commands import jobs
from darkroom import (
    Changed,
    Client,
    Conflict,
    Invalid,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotSent,
    TimedOut,
    Unavailable,
    Unreachable,
)
from shared.jobs.cursors import encode_cursor
from tests.cli.kit import Relay, relay_to
from tests.conftest import ROOT, Service
from tests.fixtures import make
from tests.integration.helpers import png, zip_of

CAT = make.CIFAR10 / "cat-0.png"
UNKNOWN_JOB = "0" * 32
ARCHIVE = zip_of(("c.png", png(2)), ("d.png", png(3)))


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.url) as client:
        yield client


@pytest.fixture
def relay(service: Service) -> Iterator[Relay]:
    with relay_to(service.url) as relay:
        yield relay


def test_pictures_come_back_classified_from_paths_and_bytes(client: Client) -> None:
    items = list(client.classify([CAT, CAT.read_bytes(), ("mine.png", CAT.read_bytes())], timeout_s=60))
    assert {item["filename"] for item in items} == {str(CAT), "picture-2", "mine.png"}
    assert {item["predictions"][0]["label"] for item in items} == {"cat"}


def test_a_job_from_its_pictures_to_its_end(client: Client, tmp_path: Path) -> None:
    job = client.submit(("a.png", CAT.read_bytes()), metadata={"by": "test"})
    assert job["metadata"] == {"by": "test"}
    assert client.wait(job["id"], 60)["counts"] == {"total": 1, "succeeded": 1, "failed": 0, "cancelled": 0}
    assert [len(list(client.results(job["id"]))), next(client.jobs())["id"]] == [1, job["id"]]
    (item,) = client.results(job["id"])
    best, other = (client.heatmap(job["id"], item["key"], label=label) for label in (None, "frog"))
    assert best[:4] == other[:4] == b"\x89PNG" and best != other
    with pytest.raises(Invalid, match="unicorn"):
        client.heatmap(job["id"], item["key"], label="unicorn")
    saved = tmp_path / "saved.png"
    CliRunner().invoke(jobs.command, ["heatmap", job["id"], item["key"], str(saved)], env={"DARKROOM_URL": client.url})
    assert saved.read_bytes() == best
    assert client.cancel(job["id"])["state"] == "succeeded"
    with pytest.raises(Conflict, match="no failed or cancelled items"):
        client.retry(job["id"])
    client.delete(job["id"])
    with pytest.raises(NotFound):
        client.job(job["id"])


def test_errors_of_the_service_have_their_classes(client: Client) -> None:
    with pytest.raises(Invalid) as invalid:
        client.train(epochs=0)
    assert invalid.value.status == 422 and invalid.value.faults[0].pointer == "/params/epochs"
    open_job = client.open_job()["id"]
    with pytest.raises(Conflict):
        client.delete(open_job)
    with pytest.raises(TimedOut, match=open_job):
        client.wait(open_job, 0.2)
    with pytest.raises(Changed):
        client.promote(client.champion()["version"], etag='"another"')
    with pytest.raises(NotFound):
        client.model("../jobs")
    with pytest.raises(Misconfigured):
        Client("localhost:5000")


def test_a_short_page_with_a_next_link_is_not_the_last(relay: Relay) -> None:
    """The service scans a limited number of places per call; after a retry thousands of them may be empty."""
    with Client(relay.url) as client:
        job = client.submit(CAT)["id"]
        client.wait(job, 60)
        empty = json.dumps({"data": [], "next": encode_cursor("place", 0), "done": False}).encode()

        headers = {"Link": '<?after=x>; rel="next"', "Content-Type": "application/json"}
        relay.rule = lambda seen: (
            (200, headers, empty) if seen.path.endswith("/results") and "after" not in seen.address else None
        )
        assert len(list(client.results(job))) == 1


def test_no_job_stays_open_if_there_is_nothing_to_send(client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="none of the files is a picture"):
        client.submit(tmp_path)
    with pytest.raises(FileNotFoundError):
        client.submit([CAT, tmp_path / "missing.png"])
    assert [job["state"] for job, _ in zip(client.jobs(), range(2), strict=False)] == ["cancelled", "cancelled"]


def test_retry_after_is_respected(relay: Relay) -> None:
    answers = iter([(503, {"Retry-After": "1"}, b""), (429, {"Retry-After": "0"}, b"")])
    relay.rule = lambda _request: next(answers, None)
    began = time.monotonic()
    with Client(relay.url) as client:
        client.open_job()
    assert time.monotonic() - began >= 1
    assert len({seen.headers["Idempotency-Key"] for seen in relay.seen}) == 1 and len(relay.seen) == 3


def test_a_retry_after_beyond_the_limit_fails_at_once(relay: Relay) -> None:
    problem = {"title": "Too many requests", "status": 429, "detail": "1,000 requests an hour"}
    relay.rule = lambda _request: (429, {"Retry-After": "1800"}, json.dumps(problem).encode())
    with Client(relay.url) as client, pytest.raises(Unavailable, match="1,000 requests an hour") as error:
        client.models()
    assert error.value.retry_after_s == 1800 and len(relay.seen) == 1


def test_a_lost_response_has_no_second_effect(relay: Relay, client: Client) -> None:
    """The service processes each POST, but the connection is cut before the response, twice."""
    relay.rule = lambda request: "drop" if len(relay.calls("POST", request.path)) in (1, 2) else None
    marked = {"mark": time.time()}
    with Client(relay.url) as careful:
        job = careful.submit([("a.png", png(1)), ("b.zip", ARCHIVE)], metadata=marked)
        assert careful.wait(job["id"], 60)["counts"]["succeeded"] == 3
        assert len(relay.calls("POST", "/v1/jobs")) == 3 and len(relay.calls("POST", "/items")) >= 3
        listed = [each["id"] for each, _ in zip(client.jobs(), range(5), strict=False) if each["metadata"] == marked]
        assert listed == [job["id"]]
        relay.rule = lambda request: "drop" if len(relay.calls("DELETE", request.path)) == 1 else None
        careful.delete(job["id"])
        assert len(relay.calls("DELETE", job["id"])) == 2


def test_an_archive_that_an_earlier_run_still_sends_is_waited_for(relay: Relay) -> None:
    in_work = (409, {}, b'{"detail": "a request with this Idempotency-Key is in work"}')
    relay.rule = lambda request: in_work if relay.calls("POST", "/items") == [request] else None
    with Client(relay.url) as client:
        assert client.submit(("b.zip", ARCHIVE))["counts"]["total"] == 2
    assert len({seen.headers["Idempotency-Key"] for seen in relay.calls("POST", "/items")}) == 1


def test_the_key_is_sent_and_a_rejected_key_is_an_error(relay: Relay) -> None:
    relay.rule = lambda _request: (401, {}, b'{"detail": "this key is not known"}')
    with Client(relay.url, "secret") as client, pytest.raises(NotAllowed, match="not known"):
        client.job(UNKNOWN_JOB)
    assert relay.seen[0].headers["Authorization"] == "Bearer secret"


def test_an_unreachable_service_is_retried() -> None:
    began = time.monotonic()
    with Client("http://127.0.0.1:9", retry_s=0.8) as client, pytest.raises(Unreachable):
        client.models()
    assert time.monotonic() - began > 0.1


def test_the_url_is_read_from_the_environment(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_URL", service.url + "/")
    with Client() as client:
        assert httpx.URL(client.url).port == httpx.URL(service.url).port and client.models()


def test_the_example_in_the_documentation_runs(service: Service) -> None:
    text = (ROOT / "docs" / "command-line.md").read_text()
    example = text.partition("```python\n")[2].partition("```")[0]
    environment = {**os.environ, "DARKROOM_URL": service.url}
    printed = subprocess.check_output([sys.executable, "-c", example], cwd=ROOT, env=environment, text=True)
    assert "tests/fixtures/cifar10/cat-0.png cat\n" in printed and len(printed.splitlines()) == 41
    assert printed.endswith("{'total': 2, 'succeeded': 1, 'failed': 1, 'cancelled': 0}\n")


def test_work_is_read_ahead_only_as_far_as_it_is_processed() -> None:
    taken = []
    endless = (taken.append(number) or number for number in count())
    results = in_parallel(lambda number: number * 2, endless, at_once=4)
    assert [next(results) for _ in range(100)] == list(range(0, 200, 2))
    results.close()
    assert len(taken) <= 104
