"""The service behind nginx and Caddy, each with two web processes, any of which may answer."""

from __future__ import annotations

import io
import json
import re
import selectors
import socket
import ssl
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.conftest import PATIENCE_S, Service, wait_until
from tests.integration.helpers import JSON, MULTIPART, finished, head, multipart, open_job, png, problem, put, results
from tests.keys_kit import bearer
from tests.proxies_kit import HOST, KEY, Site, Web, running_caddy, running_nginx, running_web

HTML = {"Accept": "text/html"}
MIB = 1024 * 1024
#: Entries of the big archive and the size of each; together 100 MB.
ENTRIES, ENTRY_BYTES = 4, 25_000_000
#: Stands for the archive in the body of a request.
ARCHIVE = b"<the archive>"
#: Bytes of a picture that is in the middle of its upload: more than all buffers on the way.
HALF = 24 * MIB
#: Clients that wait for a job while a process is killed.
WAITING = 4
#: A body that no client sends whole: it is over the limit of a request.
TOO_MUCH = 5 * 1024 * MIB


@pytest.fixture(scope="module")
def webs(keyed_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Web]]:
    """Return two web processes with the Redis and the storage of the service."""
    folder = tmp_path_factory.mktemp("webs")
    with ExitStack() as opened:
        yield [opened.enter_context(running_web(keyed_service, folder / name)) for name in ("first.log", "second.log")]


@pytest.fixture(scope="module")
def nginx(webs: list[Web], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_nginx(webs, tmp_path_factory.mktemp("nginx")) as site:
        yield site


@pytest.fixture(scope="module")
def caddy(webs: list[Web], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_caddy(webs, tmp_path_factory.mktemp("caddy")) as site:
        yield site


@pytest.fixture(params=["nginx", "caddy"])
def site(request: pytest.FixtureRequest) -> Site:
    """Return each proxy in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    """Return a client with a key."""
    with site.client(**bearer(KEY)) as client:
        yield client


def on_both(webs: list[Web], call: Callable[[], httpx.Response]) -> list[httpx.Response]:
    """Repeat a call until each web process has answered one; return the answers."""
    answers: list[httpx.Response] = []

    def both() -> bool:
        answers.append(call())
        return all(any(web.answered(answer) for answer in answers) for web in webs)

    wait_until(both, "both processes have answered", every=0)
    return answers


def test_one_sign_in_holds_on_both(site: Site, webs: list[Web]) -> None:
    """Given the cookie and the token from one process, when a page asks another one for a change, then it is done."""
    with site.client(Origin=site.url) as http:
        (token,) = re.findall(r'name="csrf_token" value="([^"]+)"', http.get("/sign-in", headers=HTML).text)
        answer = http.post("/sign-in", data={"csrf_token": token, "next": "/jobs", "key": KEY})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/jobs")
        assert "; Secure" in answer.headers["Set-Cookie"] and "Strict-Transport-Security" in answer.headers
        (token,) = re.findall(r'name="csrf-token" content="([^"]+)"', http.get("/jobs", headers=HTML).text)
        create = {"json": {"kind": "classification"}, "headers": {"X-CSRF-Token": token}}
        for made in on_both(webs, lambda: http.post("/v1/jobs", **create)):
            assert made.status_code == 201, made.text
            http.post(f"/v1/jobs/{made.json()['id']}/cancel", headers={"X-CSRF-Token": token})
        problem(http.post("/v1/jobs", **create | {"headers": {"X-CSRF-Token": "x"}}), 403)
        foreign = {"X-CSRF-Token": token, "Origin": "https://evil.example"}
        problem(http.post("/v1/jobs", **create | {"headers": foreign}), 403)


def test_a_repeated_request_makes_one_job_on_both(http: httpx.Client, webs: list[Web], request) -> None:
    headers = {"Idempotency-Key": request.node.name, **JSON}
    body = json.dumps({"kind": "classification"})
    first, *others = on_both(webs, lambda: http.post("/v1/jobs", content=body, headers=headers))
    assert first.status_code == 201
    assert {answer.text for answer in others} == {first.text}
    assert all(answer.headers["Idempotency-Replayed"] == "true" for answer in others)
    http.post(f"/v1/jobs/{first.json()['id']}/cancel")


def test_an_open_job_is_filled_over_both(http: httpx.Client, webs: list[Web]) -> None:
    job, keys = open_job(http), iter(range(1000))
    stored = on_both(webs, lambda: put(http, job, f"picture-{(number := next(keys))}", png(number)))
    assert {answer.status_code for answer in stored} == {201}
    assert http.post(f"/v1/jobs/{job}/seal").status_code == 202
    assert finished(http, job)["counts"]["succeeded"] == len(stored)
    assert {item["predictions"][0]["label"] for item in results(http, job)} == {"cat"}


def test_a_long_poll_waits_on_either(http: httpx.Client, webs: list[Web]) -> None:
    """Given a client that waits at a process, when the job changes or ends by way of any other, then it is told."""
    waiting = {"Prefer": "wait=30", "Content-Type": "image/png"}
    for answer in on_both(webs, lambda: http.post("/v1/jobs", content=png(), headers=waiting)):
        assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "wait=30"), answer.text
    job = open_job(http)
    known = {"If-None-Match": http.get(f"/v1/jobs/{job}").headers["ETag"]}
    with ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(http.get, f"/v1/jobs/{job}", params={"wait": 30}, headers=known) for _ in range(2)]
        put(http, job, "a", png())
        assert [poll.result(PATIENCE_S).json()["counts"]["total"] for poll in polls] == [1, 1]
    http.post(f"/v1/jobs/{job}/cancel")


class Pipe(io.RawIOBase):
    """A file that a zip is written to, and taken from piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def big_zip() -> Iterator[bytes]:
    """Yield a zip of 100 MB in pieces; its pictures have much behind their end."""
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for number in range(ENTRIES):
            archive.writestr(f"{number}.png", png(number) + bytes(ENTRY_BYTES))
            yield pipe.take()
    yield pipe.take()


def test_a_big_zip_passes(http: httpx.Client) -> None:
    """An upload of 100 MB; that it is passed on while it arrives is what early answers show."""

    def body() -> Iterator[bytes]:
        parts = (b'name="files"; filename="a.png"', png(9)), (b'name="files"; filename="a.zip"', ARCHIVE)
        begin, _, end = multipart(*parts).partition(ARCHIVE)
        yield begin
        yield from big_zip()
        yield end

    answer = http.post("/v1/jobs", content=body(), headers={"Content-Type": MULTIPART})
    assert answer.status_code == 202, answer.text
    assert finished(http, answer.json()["id"])["counts"]["succeeded"] == ENTRIES + 1


def early_answer(site: Site, *headers: str) -> httpx.Response:
    """Send a body that is far too long until the answer comes, as a browser does; return the answer."""
    lines = ["POST /v1/jobs HTTP/1.1", f"Host: {HOST}:{site.port}", f"Content-Length: {TOO_MUCH}", *headers, "", ""]
    plain = socket.create_connection(("127.0.0.1", site.port), PATIENCE_S)
    with site.context().wrap_socket(plain, server_hostname=HOST) as tls, selectors.DefaultSelector() as waiting:
        tls.sendall("\r\n".join(lines).encode())
        tls.setblocking(False)
        waiting.register(tls, selectors.EVENT_READ | selectors.EVENT_WRITE)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            ready = waiting.select(PATIENCE_S)
            assert ready, answer
            try:
                if ready[0][1] & selectors.EVENT_READ:
                    data = tls.recv(65536)
                    assert data, answer
                    answer += data
                    waiting.modify(tls, selectors.EVENT_READ)
                elif not answer:
                    tls.send(bytes(65536))
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
    head, _, content = answer.partition(b"\r\n\r\n")
    status, *rest = head.decode().split("\r\n")
    request = httpx.Request("POST", f"{site.url}/v1/jobs")
    return httpx.Response(
        int(status.split()[1]), headers=[line.split(": ", 1) for line in rest], content=content, request=request
    )


def test_a_refusal_arrives_before_the_upload_ends(site: Site) -> None:
    assert problem(early_answer(site, "Content-Type: image/png"), 401)
    assert problem(early_answer(site, "Content-Type: image/png", f"Authorization: Bearer {KEY}"), 413)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "closed"])
@pytest.mark.parametrize("length", [TOO_MUCH, None], ids=["length", "chunked"])
def test_a_client_that_only_sends_reads_its_refusal_afterwards(webs: list[Web], length: int | None, kept: bool) -> None:
    """Given far more than is read before the answer, then the connection is whole until the client reads."""
    host, port = webs[0].address.split(":")
    begin = head(length, "image/png") + (b"" if length else f"{TOO_MUCH:x}\r\n".encode())
    with socket.create_connection((host, int(port)), PATIENCE_S) as client:
        client.sendall(begin.replace(b"Connection: close\r\n", b"" if kept else b"Connection: close\r\n"))
        for _ in range(24):
            client.sendall(bytes(MIB))
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")


def requests_left(site: Site, source: str, **headers: str) -> int:
    with site.client(source, **headers) as http:
        answer = http.get("/v1/jobs")
    problem(answer, 401)
    return int(re.findall(r'"requests";r=(\d+)', answer.headers["RateLimit"])[0])


def test_limits_are_those_of_the_clients_address(site: Site) -> None:
    """Given two addresses, when one calls, then it alone is charged, whatever address it claims to have."""
    first = requests_left(site, "127.0.0.2")
    other = requests_left(site, "127.0.0.3")
    assert requests_left(site, "127.0.0.2", **{"X-Forwarded-For": "127.0.0.3"}) == first - 1
    assert requests_left(site, "127.0.0.3") == other - 1


def test_a_request_keeps_its_id_and_metrics_stay_inside(http: httpx.Client, webs: list[Web]) -> None:
    answer = http.get("/v1/jobs", headers={"X-Request-Id": "the-clients-own"})
    assert answer.headers["X-Request-Id"] == "the-clients-own"
    assert any(web.answered(answer) for web in webs)
    assert http.get("/metrics").status_code == 403


class Halted:
    """The body of a picture that stops in its middle. If it is sent again, it does not stop."""

    def __init__(self) -> None:
        self.is_half_sent, self.may_go_on = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        yield png()
        for _ in range(HALF // MIB):
            yield bytes(MIB)
        self.is_half_sent.set()
        assert self.may_go_on.wait(PATIENCE_S)
        yield bytes(1)


def repeated(call: Callable[[], httpx.Response]) -> tuple[httpx.Response, int]:
    """Repeat a call that breaks off, as Darkroom's clients do; return the answer and the number of calls."""
    calls = 0

    def answer() -> httpx.Response | None:
        nonlocal calls
        calls += 1
        try:
            got = call()
        except httpx.TransportError:
            return None
        return None if got.status_code == httpx.codes.BAD_GATEWAY else got

    return wait_until(answer, "the call is answered"), calls


def poll(http: httpx.Client, job: str, sent: threading.Semaphore) -> httpx.Response:
    """Wait for a change of a job; release `sent` as soon as the request is on its way."""
    known = {"If-None-Match": http.get(f"/v1/jobs/{job}").headers["ETag"]}

    def trace(event: str, _: object) -> None:
        if event == "http11.receive_response_headers.started":
            sent.release()

    query, how = {"wait": 30}, {"trace": trace}
    return http.get(f"/v1/jobs/{job}", params=query, headers=known, extensions=how)


def test_what_a_killed_process_did_is_done_by_the_other(http: httpx.Client, webs: list[Web]) -> None:
    """Given an upload and long polls at each process, When one is killed, Then the open job is filled by the other."""
    job, bodies, sent = open_job(http), [Halted(), Halted()], threading.Semaphore(0)
    with ThreadPoolExecutor(len(bodies) + WAITING) as pool:
        uploads = []
        for number, body in enumerate(bodies):  # one after the other: the least busy process gets the next
            uploads.append(pool.submit(repeated, lambda key=f"big-{number}", body=body: put(http, job, key, body)))
            assert body.is_half_sent.wait(PATIENCE_S)
        polls = [pool.submit(repeated, lambda: poll(http, job, sent)) for _ in range(WAITING)]
        assert all(sent.acquire(timeout=PATIENCE_S) for _ in polls)
        on_both(webs, lambda: http.get("/v1/jobs"))
        killed, other = webs
        killed.kill()
        try:
            for body in bodies:
                body.may_go_on.set()
            stored = [upload.result(PATIENCE_S) for upload in uploads]
            assert sorted(calls for _, calls in stored) == [1, 2], "one of them was in the middle of its upload"
            told = [one.result(PATIENCE_S) for one in polls]
            assert all(answer.json()["counts"]["total"] for answer, _ in told)
            assert {calls for _, calls in told} == {1}, "the proxy repeats a GET itself"
            more = [put(http, job, f"small-{number}", png(number)) for number in range(4)]
            answers = [*(answer for answer, _ in (*stored, *told)), *more]
            assert all(answer.is_success for answer in answers)
            wait_until(lambda: all(other.answered(answer) for answer in answers), "the other process has answered")
            assert http.post(f"/v1/jobs/{job}/seal").status_code == 202
            assert finished(http, job)["counts"]["succeeded"] == len(stored) + len(more) == len(results(http, job))
        finally:
            killed.start()
