"""Invalid requests of all kinds: each gets a problem document with the reason and leaves nothing behind."""

from __future__ import annotations

import base64
import json

import pytest

from shared.domain.entities import JOBS_FOLDER
from tests.fixtures import odd
from tests.integration.helpers import (
    JSON,
    MULTIPART,
    exchange,
    files,
    finished,
    head,
    multipart,
    nothing_left,
    open_job,
    outcomes,
    png,
    problem,
    put,
    submit,
    traces,
)

NO_JOB = "0" * 32
PICTURE = b'name="files"; filename="a.png"'


@pytest.fixture(scope="module")
def job(service):
    """Return a finished job for invalid requests."""
    with service.client() as http:
        job_id = submit(http, ("a.png", png()))
        finished(http, job_id)
        yield f"/v1/jobs/{job_id}"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty.jpg", "empty_file"), ("text.jpg", "unsupported_format"), ("bomb.png", "too_many_pixels"),
        ("paper.pdf", "unsupported_format"), ("drawing.eps", "unsupported_format"),
        ("preview.eps", "unsupported_format"), ("layers.psd", "unsupported_format"),
        ("drawing.svg", "unsupported_format"), ("page.html", "unsupported_format"), ("film.mp4", "unsupported_format"),
        ("pictures.rar", "unsupported_format"), ("one-byte.png", "unsupported_format"),
        ("signature.jpg", "undecodable"),
    ],
)  # fmt: skip
def test_file_that_cannot_be_taken(service, http, name, code):
    """Alone it fails the request; among others it fails alone, whatever its name says."""
    content = {**odd.NO_PICTURES, **odd.BROKEN}[name]()
    statuses = {"unsupported_format": 415, "too_many_pixels": 413}
    with nothing_left(service):
        raw = http.post("/v1/jobs", content=content, headers={"Content-Type": "image/jpeg"})
        for answer in (http.post("/v1/jobs", files=files(("picture.jpg", content))), raw):
            assert problem(answer, statuses.get(code, 422))["code"] == code
    assert outcomes(http, ("good.png", png()), (name, content), ("best.png", png(1))) == {
        "good.png": "succeeded", name: code, "best.png": "succeeded",
    }  # fmt: skip
    job_id = open_job(http)
    problem(put(http, job_id, "key", content), 413, 415, 422)
    assert http.get(f"/v1/jobs/{job_id}").json()["counts"]["total"] == 0


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.webp", "cut.tiff"])
def test_truncated_picture_fails_alone(http, name):
    found = outcomes(http, ("good.png", png()), (name, odd.BROKEN[name]()))
    assert found["good.png"] == "succeeded"
    assert found[name] in ("truncated", "undecodable")


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (multipart(), (422,)),
        (b"", (400, 422)),
        (multipart((b'name="files"; filename=""', b"")), (422,)),
        (multipart((b'name="metadata"', b"{}")), (422,)),
        (multipart((PICTURE, png()), end=False), (400,)),
        (multipart((PICTURE, png()), (PICTURE, png(1)))[:-700], (400,)),
        (multipart((PICTURE, png()))[:60], (400,)),
        (b"no multipart at all", (400,)),
        (multipart((b'filename="a.png"', png())), (422,)),
        (multipart((b'name="file"; filename="a.png"', png())), (422,)),
        (multipart((PICTURE, png()), (b'name="other"', b"1")), (422,)),
        (multipart((b'name="files"', png())), (422,)),
        (multipart((PICTURE, png()), (b'name="metadata"', b"{")), (400,)),
        (multipart((PICTURE, png()), (b'name="metadata"', b"NaN")), (400,)),
        (multipart((PICTURE, png()), (b'name="metadata"', b"[" * 50_000)), (400,)),
        (multipart((PICTURE, png()), (b'name="metadata"', b'"' + b"x" * 70_000 + b'"')), (413,)),
        (multipart((PICTURE, png()), (b'name="files"; filename="' + b"n" * 2_000_000 + b'"', png())), (413,)),
        (multipart((PICTURE, png())).replace(b"Content-Disposition", b"Content-Nothing"), (400,)),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_wrong_multipart(service, body, statuses, chunked):
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked and body else body
    with nothing_left(service):
        problem(exchange(service, head(None if chunked and body else len(body), MULTIPART) + sent), *statuses)


@pytest.mark.parametrize("kind", ["multipart/form-data", 'multipart/form-data; boundary=""', MULTIPART + "x"])
def test_wrong_boundary(service, http, kind):
    with nothing_left(service):
        body = multipart((PICTURE, png()))
        problem(http.post("/v1/jobs", content=body, headers={"Content-Type": kind}), 400, 415)


@pytest.mark.parametrize("kind", [MULTIPART, "image/png", "application/json", "application/zip"])
@pytest.mark.parametrize("framing", ["short", "cut chunk", "no last chunk", "malformed chunk"])
def test_body_that_breaks_off(service, kind, framing):
    """Given a client that closes its side too early, then the incomplete request is rejected."""
    body = {"application/json": b"{}", MULTIPART: multipart((PICTURE, png()))}.get(kind, png())
    sent = {
        "short": body,
        "cut chunk": b"%x\r\n%b" % (len(body) + 9, body),
        "no last chunk": b"%x\r\n%b\r\n" % (len(body), body),
        "malformed chunk": b"%x\r\n%b\r\nzz\r\n" % (len(body), body),
    }[framing]
    with nothing_left(service):
        problem(exchange(service, head(len(body) + 9 if framing == "short" else None, kind) + sent), 400)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "video/mp4"]
)
def test_wrong_content_type(service, http, kind):
    with nothing_left(service):
        problem(http.post("/v1/jobs", content=png(), headers={"Content-Type": kind}), 415)
    problem(http.post(f"/v1/jobs/{open_job(http)}/items", content=png(), headers={"Content-Type": kind}), 415)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"{'kind':1}", 400), (b'{"metadata":NaN}', 400), (b'{"metadata":-Infinity}', 400),
        (b'{"metadata":1e999}', 400), (b'{"metadata":"\xff"}', 400), (b'{"metadata":"\\ud800"}', 400),
        (b'{"metadata":{"\\udfff":1}}', 400), (b'{"metadata":' + b"9" * 9000 + b"}", 400), (b"[" * 60_000, 400),
        (b'{"metadata":' + b"[" * 970 + b"]" * 970 + b"}", 400), (b'{"a":' * 9_000 + b"1" + b"}" * 9_000, 400),
        (b"null", 422), (b"[]", 422), (b'"x"', 422), (b"1", 422), (b'{"kind":"nothing"}', 422), (b'{"kind":null}', 422),
        (b'{"kind":["classification"]}', 422), (b'{"kind":"classification","more":1}', 422),
        (b'{"params":{"a":1}}', 422), (b'{"params":[]}', 422), (b" " * 70_000 + b"{}", 413),
        (b'{"metadata":"' + b"x" * 70_000 + b'"}', 413),
    ],
    ids=lambda value: value[:30].decode("latin-1") if isinstance(value, bytes) else "",
)  # fmt: skip
def test_wrong_json(service, http, body, status):
    with nothing_left(service):
        answer = problem(http.post("/v1/jobs", content=body, headers=JSON), status)
        assert status != 422 or answer["errors"]


def test_metadata_that_is_taken_can_be_read_again(http):
    """At any depth, since one job must never break the list."""
    for depth in (1, 60, 64, 200, 940, 970, 977, 985):
        http.post("/v1/jobs", content=b'{"metadata":' + b"[" * depth + b"]" * depth + b"}", headers=JSON)
        assert http.get("/v1/jobs").status_code == 200


@pytest.mark.parametrize(
    "keys",
    ["", "{", "{}", '"a"', "[1,2]", '["a"]', '["a","b","c"]', '["a","a"]', '["a","../b"]', '["a","."]', '["a",""]',
     '["a","' + "k" * 129 + '"]', '["a","b\\n"]', '["a","é"]'],
)  # fmt: skip
def test_keys_that_do_not_fit(http, keys):
    job_id = open_job(http)
    answer = http.post(
        f"/v1/jobs/{job_id}/items", files=files(("a.png", png()), ("b.png", png(1))), data={"keys": keys}
    )
    problem(answer, 400, 422)
    assert http.get(f"/v1/jobs/{job_id}").json()["counts"]["total"] == 0


@pytest.mark.parametrize("key", ["a b", "%C3%A9", "k" * 129, "a%0Ab", "a%00", "%2e%2e", "a%2Fb", "k" * 3900, "%22"])
def test_wrong_key_in_the_address(http, key):
    job_id = open_job(http)
    problem(put(http, job_id, key, png()), 404, 422)
    assert http.get(f"/v1/jobs/{job_id}").json()["counts"]["total"] == 0


def test_open_job_takes_pictures_only_by_put(http):
    for name in ("pictures.zip", "pictures.tar", "pictures.tar.gz"):
        problem(put(http, open_job(http), "key", odd.NO_PICTURES[name]()), 415)


@pytest.mark.parametrize("job_id", [NO_JOB, "x", "A" * 32, NO_JOB + "0", "%0A", "%2E%2E", "%FF%FE", "j" * 3000, "%00"])
def test_unknown_or_malformed_job(service, http, job_id):
    own = f"/v1/jobs/{job_id}"
    with nothing_left(service):
        for path in ("", "/results", "/results.csv", "/results.ndjson", "/items", "/items/a/image"):
            problem(http.get(own + path), 404)
        for path in ("/seal", "/cancel", "/retry"):
            problem(http.post(own + path), 404)
        problem(http.post(f"{own}/items", files=files(("a.png", png()))), 404)
        problem(http.put(f"{own}/items/key", content=png()), 404)
        problem(http.delete(own), 404)


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("/v1/jobs", ["limit=0", "limit=-1", "limit=1001", "limit=x", "limit=", "limit=1e2", "limit=%00", "state=odd",
                      "kind=odd", "unknown=1", "limit=1&limit=2", "after=", "wait=1"]),
        ("", ["wait=-1", "wait=31", "wait=x", "wait=", "wait=nan", "wait=inf", "wait=1&wait=2", "limit=1"]),
        ("/results", ["limit=0", "state=pending", "state=odd", "label=odd", "label=99", "max_score=2", "max_score=nan",
                      "max_score=x", "sort=name", "fields=key", "sort=score&sort=score"]),
        ("/results.csv", ["limit=1"]),
        ("/results.ndjson", ["state=failed"]),
        ("/items", ["fields=all", "fields=", "limit=0", "state=failed"]),
        ("/items/000001/image", ["size=big", "size=", "width=1"]),
    ],
)  # fmt: skip
def test_wrong_query(http, job, path, queries):
    for query in queries:
        answer = problem(http.get(f"{path if path.startswith('/v1') else job + path}?{query}"), 422)
        assert {fault["pointer"] for fault in answer["errors"]} == {query.split("=")[0]}


def cursor(*parts) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


CURSORS = [
    "x", "%25", "%0A", "%ED%A0%80", "AAAA", "====", "x" * 600, cursor(), cursor("job"), cursor("place", -1),
    cursor("place", True), cursor("place", 1.5), cursor("place", 1 << 60), cursor("place", "1"), cursor("job", "abc"),
    cursor("job", "١٢ x"), cursor("job", "5 \ud800"), cursor("score", "\ud800"), cursor("score", "é"),
    cursor("job", "1" * 200),
]  # fmt: skip


@pytest.mark.parametrize("after", CURSORS)
def test_malformed_cursor(http, job, after):
    for path in ("/v1/jobs", f"{job}/results", f"{job}/results?sort=score", f"{job}/items", f"{job}/items?fields=key"):
        answer = http.get(f"{path}{'&' if '?' in path else '?'}after={after}")
        assert problem(answer, 422)["errors"][0]["pointer"] == "after"


def test_cursor_of_another_list(http, job):
    of_list = cursor("job", "5 x")
    problem(http.get(f"{job}/results", params={"after": of_list}), 422)
    assert http.get("/v1/jobs", params={"after": of_list}).json()["data"] == []


def test_blanks_around_a_number_do_not_get_into_a_header(http):
    submit(http, ("a.png", png()))
    answer = http.get("/v1/jobs?limit=%0A1%0A")
    assert answer.status_code == 422 or answer.links["next"]["url"].isascii()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET POST"), ("DELETE", "/v1/jobs", "GET POST"), ("PATCH", "", "GET DELETE"),
        ("POST", "", "GET DELETE"), ("GET", "/seal", "POST"), ("GET", "/cancel", "POST"), ("DELETE", "/retry", "POST"),
        ("POST", "/results", "GET"), ("PUT", "/results.csv", "GET"), ("DELETE", "/items", "GET POST"),
        ("GET", "/items/a", "PUT"), ("POST", "/items/a/image", "GET"), ("POST", "/healthz", "GET"),
        ("MAKE", "/readyz", "GET"),
    ],
)  # fmt: skip
def test_wrong_method(http, job, method, path, allowed):
    answer = http.request(method, path if path in ("/v1/jobs", "/healthz", "/readyz") else job + path, content=b"x")
    problem(answer, 405)
    assert set(answer.headers["Allow"].split(", ")) - {"HEAD", "OPTIONS"} == set(allowed.split())


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1", "/v1/jobs/", "/nothing", "/v1/jobs/x/y/z"])
def test_unknown_address(http, path):
    problem(http.get(path), 404)


def test_huge_list_of_refusals_leaves_the_service_well(http, service):
    """After all tests above, the list is readable and every blob of a job belongs to one that exists."""
    assert http.get("/v1/jobs", params={"limit": 1000}).status_code == 200
    owners = {blob.split("/")[1] for blob in traces(service)["blobs"] if blob.startswith(f"{JOBS_FOLDER}/")}
    assert owners
    assert {http.get(f"/v1/jobs/{owner}").status_code for owner in owners} == {200}
