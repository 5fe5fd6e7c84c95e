"""Protection of a service without keys from other web pages, and security headers."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.helpers import open_job, png, problem, put

BODY = {"kind": "classification"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(http, headers):
    before = http.get("/v1/jobs").json()
    problem(http.post("/v1/jobs", json=BODY, headers=headers), 403)
    problem(http.post("/v1/jobs", content=png(), headers={"Content-Type": "text/plain", **headers}), 403)
    assert http.get("/v1/jobs", headers=headers).json() == before


def test_our_own_pages_and_clients_without_an_origin_do(http, service):
    for headers in ({}, {"Origin": service.url}, {"Sec-Fetch-Site": "same-origin", "Origin": service.url}):
        answer = http.post("/v1/jobs", json=BODY, headers=headers)
        assert answer.status_code == 201
        http.post(f"/v1/jobs/{answer.json()['id']}/cancel")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_a_name_that_was_pointed_here_is_refused(http, host):
    """Given a foreign host name for this machine (DNS rebinding), then every call is rejected."""
    assert "localhost" in problem(http.get("/v1/jobs", headers={"Host": host}), 403)["detail"]
    problem(http.post("/v1/jobs", json=BODY, headers={"Host": host, "Sec-Fetch-Site": "same-origin"}), 403)


@pytest.mark.parametrize("host", ["[", "[::1", "a]", "::"])
def test_a_malformed_host_is_a_client_error(http, host):
    assert http.get("/v1/jobs", headers={"Host": host}).status_code < 500


@pytest.mark.parametrize(
    "host", ["localhost:5000", "127.0.0.1", "[::1]:5000", "darkroom", "app.localhost", "192.168.1.5"]
)
def test_addresses_and_plain_names_are_answered(http, host):
    assert http.get("/v1/jobs", headers={"Host": host}).status_code == 200


EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def test_each_answer_says_what_a_browser_may_do_with_it(http):
    for path in ("/", "/jobs", "/sign-in", "/v1/jobs", "/v1/jobs/x", "/nothing", "/healthz", "/static/api.js"):
        headers = http.get(path, headers={"Accept": "text/html"}).headers
        assert {name: headers[name] for name in EVERYWHERE} == EVERYWHERE, path
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "camera=()" in headers["Permissions-Policy"]
        assert headers["Cache-Control"] in ("private, no-cache", "no-cache")
        assert "Strict-Transport-Security" not in headers


def test_only_the_page_of_a_dataset_may_use_the_camera(http):
    http.post("/v1/datasets", json={"name": "seen"})
    policy = http.get("/datasets/seen").headers["Permissions-Policy"]
    assert "camera=(self)" in policy
    assert "microphone=()" in policy
    http.delete("/v1/datasets/seen")


def test_over_tls_a_browser_stays_with_it(http):
    """Run a web server that trusts a local proxy."""
    headers = http.get("/", headers={"X-Forwarded-Proto": "https"}).headers
    assert headers["Strict-Transport-Security"] == "max-age=31536000"


FILES = {
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "json": "application/json",
    "zip": "application/zip",
}


def disposition(answer: httpx.Response) -> str | None:
    return answer.headers.get("Content-Disposition")


def test_downloads_have_safe_names_and_are_not_executed(http):
    """Given a picture with another type's name, then no header has that name, and browsers must not sniff the type."""
    job = open_job(http)
    key = "evil.html"
    assert put(http, job, key, png()).status_code == 201
    picture = http.get(f"/v1/jobs/{job}/items/{key}/image")
    assert picture.headers["Content-Type"] == "image/png" and disposition(picture) is None
    assert (
        "sandbox" in picture.headers["Content-Security-Policy"]
        and picture.headers["X-Content-Type-Options"] == "nosniff"
    )
    for ending, kind in FILES.items():
        answer = http.get(f"/v1/jobs/{job}/results.{ending}")
        assert answer.headers["Content-Type"] == kind
        assert disposition(answer) == f'attachment; filename="darkroom-{job[:8]}.{ending}"'
    http.post(f"/v1/jobs/{job}/cancel")
