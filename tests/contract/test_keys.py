"""API keys of a running service: owners, scopes, and signing in on the pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from werkzeug.routing import Rule

from shared.services import Services
from shared.settings import Settings
from tests.cli.kit import darkroom
from tests.conftest import ROOT, Service, wait_until
from tests.integration.helpers import JSON, files, finished, open_job, png, problem, submit
from tests.keys_kit import KEYS, bearer, client_of
from web.app import create_app
from web.auth.identity import SAFE

#: Public views: they show nothing that has an owner.
OPEN = {"static", "bootstrap.static", "health.healthz", "health.readyz", "pages.chart_library",
        "docs.openapi", "docs.docs", "docs.swagger_file"}  # fmt: skip
SIGN_IN = {"sign_in.page", "sign_in.sign_in", "sign_in.sign_out"}
#: Calls that need another scope, which may depend on the body, or none.
CHECKED_LATER = {"jobs.create", "classifiers.promote", "classifiers.delete", "webhooks.replace_secret", *SIGN_IN}
UNKNOWN = "0" * 32
HTML = {"Accept": "text/html"}


def rules() -> list[Rule]:
    """Return every call of the app, so that the tests cover new ones too."""
    services = Services.build(Settings(redis_url="redis://127.0.0.1:1/0"))
    return list(create_app(services).url_map.iter_rules())


def calls(wanted) -> list[tuple[str, str]]:
    """Return methods and paths, with {job}, of the matching rules."""
    found = []
    for rule in rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda part: "{job}" if part[1] == "job_id" else "000001", rule.rule)
        found += [(method, path) for method in rule.methods - {"HEAD", "OPTIONS"} if wanted(rule)]
    return sorted(found)


@pytest.fixture(scope="module")
def people(keyed_service: Service) -> Iterator[dict[str, httpx.Client]]:
    """Return a client for each key, and `nobody` without one."""
    with ExitStack() as opened:
        found = {name: opened.enter_context(client_of(keyed_service, name)) for name in KEYS}
        yield found | {"nobody": opened.enter_context(keyed_service.client())}


@pytest.fixture(scope="module")
def anns(people) -> str:
    """Return a finished job of ann's."""
    job = submit(people["ann"], ("a.png", png()))
    finished(people["ann"], job)
    return job


@pytest.mark.parametrize(("method", "path"), calls(lambda rule: rule.endpoint not in OPEN | SIGN_IN))
def test_every_call_needs_a_key(people, anns, method, path):
    path = path.format(job=anns)
    answer = people["nobody"].request(method, path)
    assert problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Darkroom"'
    if not path.startswith(("/v1/", "/metrics")) and method == "GET":
        answer = people["nobody"].get(path, headers=HTML)
        assert answer.status_code == 303 and answer.headers["Location"].startswith("/sign-in?next=%2F")


@pytest.mark.parametrize(("method", "path"), calls(lambda rule: "job_id" in rule.arguments))
def test_a_foreign_job_looks_like_an_unknown_one(people, anns, method, path):
    """Given ann's job, when bob calls it, then the response is as for an unknown id, and nothing changes."""
    before = people["ann"].get(f"/v1/jobs/{anns}").json()
    theirs, unknown = (people["bob"].request(method, path.format(job=job)) for job in (anns, UNKNOWN))
    assert theirs.status_code == unknown.status_code == 404
    assert theirs.text.replace(anns, UNKNOWN) == unknown.text
    assert theirs.headers["Content-Type"] == unknown.headers["Content-Type"]
    assert people["ann"].get(f"/v1/jobs/{anns}").json() == before


def test_a_list_has_ones_own_jobs_and_admin_sees_all(people, anns):
    bobs = open_job(people["bob"])
    ids = {name: {job["id"] for job in people[name].get("/v1/jobs").json()["data"]} for name in ("ann", "bob", "admin")}
    assert anns in ids["ann"] and bobs not in ids["ann"]
    assert ids["bob"] == {bobs}
    assert {anns, bobs} <= ids["admin"]
    assert people["admin"].get(f"/v1/jobs/{anns}").status_code == 200
    assert people["bob"].post(f"/v1/jobs/{bobs}/cancel").status_code == 202


def test_an_idempotency_key_is_its_owners(people):
    """Given an Idempotency-Key that ann has used, when bob uses it too, then he gets his own job."""
    headers = {"Idempotency-Key": "the-same", **JSON}
    body = json.dumps({"kind": "classification"})
    jobs = [people[name].post("/v1/jobs", content=body, headers=headers).json()["id"] for name in ("ann", "ann", "bob")]
    assert jobs[0] == jobs[1] != jobs[2]
    for name, job in zip(("ann", "bob"), jobs[1:], strict=True):
        people[name].post(f"/v1/jobs/{job}/cancel")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        f"Bearer {KEYS['ann']}x",
        f"Basic {KEYS['ann']}",
        KEYS["ann"],
        "Bearer \xe9\xff",
        "Bearer a b",
    ],
)
def test_a_wrong_key_is_reported_without_its_text(people, keyed_service, authorization):
    headers = [(b"Authorization", authorization.encode("latin-1"))]
    answer = people["nobody"].get("/v1/jobs", headers=headers)
    assert KEYS["ann"] not in problem(answer, 401)["detail"]
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Darkroom", error="invalid_token"'
    assert not any(key in keyed_service.log() for key in KEYS.values())


def missing(answer: httpx.Response) -> str:
    """Return the missing scope that a response names."""
    problem(answer, 403)
    (scope,) = re.findall(r'error="insufficient_scope", scope="(\w+)"', answer.headers["WWW-Authenticate"])
    assert f"`{scope}`" in answer.json()["detail"]
    return scope


def test_a_change_needs_its_scope(people):
    training = {"kind": "training", "params": {"preset": "seed", "epochs": 1}}
    assert missing(people["ann"].post("/v1/jobs", json=training)) == "train"
    promoted = {"kind": "training", "params": {**training["params"], "promote": "if_better"}}
    assert missing(people["train"].post("/v1/jobs", json=promoted)) == "admin"
    job = people["train"].post("/v1/jobs", json=training).json()["id"]
    assert people["train"].post(f"/v1/jobs/{job}/cancel").status_code == 202
    assert missing(people["train"].post("/v1/jobs", json={"kind": "classification"})) == "submit"
    assert missing(people["train"].post("/v1/jobs", files=files(("a.png", png())))) == "submit"
    assert missing(people["train"].post("/v1/webhooks/secret")) == "submit"
    assert people["train"].get("/v1/jobs").status_code == 200
    assert missing(people["ann"].get("/metrics")) == "admin"
    assert people["admin"].get("/metrics").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        call
        for call in calls(lambda rule: rule.endpoint not in CHECKED_LATER and "job_id" not in rule.arguments)
        if call[0] not in SAFE and not call[1].startswith("/v1/datasets")  # tests/web/api/test_datasets.py
    ],
)
def test_every_other_change_is_for_admin(people, method, path):
    assert missing(people["ann"].request(method, path)) == "admin"
    assert people["admin"].request(method, path).status_code != 403


def test_health_and_static_files_are_open(people):
    for path in ("/healthz", "/readyz", "/static/api.js", "/plotly.min.js", "/sign-in"):
        assert people["nobody"].get(path).status_code == 200


@contextmanager
def signed_in(service: Service, name: str, path: str = "/jobs") -> Iterator[tuple[httpx.Client, httpx.Response]]:
    """Sign in; return a client with the cookie, and the response."""
    with service.client() as client:
        page = client.get(client.get(path, headers=HTML).headers["Location"])
        fields = dict(re.findall(r'name="(csrf_token|next)" value="([^"]*)"', page.text))
        yield client, client.post("/sign-in", data={**fields, "key": f" {KEYS[name]} "})


def token_of(client: httpx.Client) -> dict[str, str]:
    (token,) = re.findall(r'name="csrf-token" content="([^"]+)"', client.get("/jobs").text)
    return {"X-CSRF-Token": token}


def test_the_pages_sign_in_and_out_with_a_cookie(keyed_service, anns):
    with signed_in(keyed_service, "ann", "/jobs?state=open") as (client, answer):
        assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs?state=open")
        attributes = {part.strip().lower() for part in answer.headers["Set-Cookie"].split(";")[1:]}
        assert {"httponly", "samesite=lax", "path=/"} == attributes, "no `secure` on plain HTTP"
        assert KEYS["ann"] not in answer.headers["Set-Cookie"]
        assert client.get(f"/result/{anns}").status_code == client.get(f"/v1/jobs/{anns}").status_code == 200
        (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', client.get("/jobs").text)
        assert client.post("/sign-out", data={"csrf_token": token}).status_code == 303
        problem(client.get("/v1/jobs"), 401)


def test_a_cookie_alone_changes_nothing(keyed_service):
    """Given a signed-in user, when another site sends a change with their cookie, then it is rejected."""
    with signed_in(keyed_service, "bob") as (client, _):
        token, body = token_of(client), {"kind": "classification"}
        for headers in ({}, {"X-CSRF-Token": "x"}, {**token, "Origin": "http://evil.example"},
                        {**token, "Sec-Fetch-Site": "same-site"}):  # fmt: skip
            problem(client.post("/v1/jobs", json=body, headers=headers), 403)
        made = client.post("/v1/jobs", json=body, headers={**token, "Sec-Fetch-Site": "same-origin"})
        assert client.post(f"/v1/jobs/{made.json()['id']}/cancel", headers=token).status_code == 202
        with signed_in(keyed_service, "ann") as (stranger, _):
            problem(stranger.post("/v1/jobs", json=body, headers=token), 403)


def test_behind_tls_the_cookie_is_secure_and_a_wrong_key_gets_none(keyed_service):
    with keyed_service.client() as client:
        page = client.get("/sign-in", headers={"X-Forwarded-Proto": "https"})
        assert "Secure" in page.headers["Set-Cookie"]
        (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', client.get("/sign-in").text)
        answer = client.post("/sign-in", data={"csrf_token": token, "key": "wrong"})
        assert answer.status_code == 401 and 'id="wrong"' in answer.text
        problem(client.get("/v1/jobs"), 401)


def test_signing_in_behind_the_documented_proxy_on_any_port(keyed_service):
    """Given the headers that the documentation's nginx sends, then the form of a page on port 8443 is accepted."""
    (variable,) = re.findall(r"proxy_set_header Host (\S+);", (ROOT / "docs" / "operations.md").read_text())
    host = {"$http_host": "darkroom.example:8443", "$host": "darkroom.example"}[variable]
    proxied = {"Host": host, "X-Forwarded-Proto": "https", "Origin": "https://darkroom.example:8443"}
    with keyed_service.client() as client:
        page = client.get("/sign-in", headers=proxied)
        (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)
        cookie = page.headers["Set-Cookie"].partition(";")[0]  # which is for TLS only, and this client has none
        form = {"csrf_token": token, "key": KEYS["ann"]}
        assert client.post("/sign-in", data=form, headers={**proxied, "Cookie": cookie}).status_code == 303


@pytest.mark.parametrize("path", ["/sign-in", "/sign-out"])
def test_what_anybody_may_send_is_short(keyed_service, path):
    """Given no key, when the body is longer than a form, then it is rejected and the connection stays usable."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    much = bytes(1_000_000)
    with keyed_service.client() as client:
        problem(client.post(path, content=b"key=" + much, headers=form), 413)
        problem(client.post(path, content=iter([b"key=", much, b"&csrf_token=x"]), headers=form), 403)  # read in part
        problem(client.post(path, files=files(("a.png", much))), 413)


@pytest.mark.parametrize(
    "address", ["http://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", ""]
)
def test_sign_in_leads_to_no_other_site(keyed_service, address):
    with keyed_service.client() as client:
        (wanted,) = re.findall(r'name="next" value="([^"]*)"', client.get("/sign-in", params={"next": address}).text)
        assert wanted == "/"


def keys_command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"DARKROOM_DATA_DIR": str(service.data_dir), "DARKROOM_URL": service.url, "PATH": ""}
    command = [sys.executable, "-m", "cli", "keys", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_a_key_is_made_and_revoked_while_the_service_runs(people, keyed_service):
    made = keys_command(keyed_service, "create", "eve", "--owner", "ann", "--scope", "train", "--scope", "submit")
    key = made.stdout.strip()
    assert re.fullmatch(r"darkroom_[\w-]{43}", key), made.stderr
    assert "Warning" not in made.stderr
    assert people["nobody"].get("/v1/jobs", headers=bearer(key)).status_code == 200
    listed = keys_command(keyed_service, "list")
    assert re.search(r"^eve +ann +submit\+train +\d{4}-\d\d-\d\d$", listed.stdout, re.MULTILINE)
    assert key not in listed.stdout
    again = keys_command(keyed_service, "create", "eve")
    assert again.returncode == 1 and "key eve" in again.stderr
    assert keys_command(keyed_service, "revoke", "eve").returncode == 0
    refused = lambda: people["nobody"].get("/v1/jobs", headers=bearer(key)).status_code == 401  # noqa: E731
    wait_until(refused, "the revoked key is refused")
    assert not any(key in path.read_text(errors="replace") for path in keyed_service.data_dir.rglob("*.aof"))


def test_the_command_line_sends_its_key_and_exits_with_4_without_the_scope(keyed_service, anns, tmp_path):
    def run(name: str, *words: str) -> int:
        key = {"DARKROOM_API_KEY": KEYS[name]} if name in KEYS else {}
        return darkroom(keyed_service.url, tmp_path, *words, **key).returncode

    assert run("ann", "jobs", "show", anns) == 0
    assert run("bob", "jobs", "show", anns) == 2  # it is not there
    assert run("nobody", "jobs", "list") == 4
    assert run("ann", "train", "--preset", "seed") == 4
