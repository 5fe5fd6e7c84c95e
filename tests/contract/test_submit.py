"""Every way to submit pictures to the running service."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re

import pytest

from tests.conftest import wait_until
from tests.fixtures import make, odd
from tests.integration.helpers import (
    JSON,
    cifar10,
    files,
    finished,
    open_job,
    outcomes,
    png,
    problem,
    put,
    results,
    submit,
    tar_of,
    zip_of,
)

JOB_FIELDS = {
    "id": str, "kind": str, "state": str, "done": bool, "created_at": str, "started_at": str | None,
    "finished_at": str | None, "expires_at": str | None, "counts": dict, "skipped": int,
    "guessed_encodings": list, "progress": int | float, "eta_s": int | float | None,
    "queue_position": int | None, "classifier": str, "model": str,
    "params": dict, "metadata": object, "webhook": str | None, "error": dict | None, "links": dict,
}  # fmt: skip
ITEM_FIELDS = {
    "id": str, "key": str, "filename": str, "sha256": str, "bytes": int, "width": int, "height": int, "state": str,
    "model": str, "predictions": list, "unknown": bool, "novelty": type(None), "corrected_label": type(None),
    "error": type(None), "created_at": str, "finished_at": str,
}  # fmt: skip
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
STATES = {"open", "queued", "running", "cancelling", "succeeded", "failed", "cancelled"}


def check_fields(found: dict, fields: dict) -> None:
    assert list(found) == list(fields)
    for name, kind in fields.items():
        assert isinstance(found[name], kind), (name, found[name])
        if name.endswith("_at") and found[name] is not None:
            assert TIME.fullmatch(found[name])


def check_job(job: dict) -> None:
    check_fields(job, JOB_FIELDS)
    assert re.fullmatch(r"[0-9a-f]{32}", job["id"])  # 128 random bits
    assert job["state"] in STATES and job["done"] == (job["state"] in ("succeeded", "failed", "cancelled"))
    assert set(job["counts"]) == {"total", "succeeded", "failed", "cancelled"}
    assert 0 <= job["progress"] <= 1
    own = f"/v1/jobs/{job['id']}"
    assert job["links"] == {
        "self": own,
        "results": f"{own}/results",
        "cancel": f"{own}/cancel",
        "page": f"/result/{job['id']}",
    }


def check_item(item: dict) -> None:
    """Assert that the item has succeeded."""
    check_fields(item, ITEM_FIELDS)
    scores = [prediction["score"] for prediction in item["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores) and sum(scores) <= 1.00001
    assert all(set(prediction) == {"index", "label", "score"} for prediction in item["predictions"])
    assert all(isinstance(prediction["index"], int) for prediction in item["predictions"])


def check_accepted(answer, status: int = 202) -> dict:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/json"
    job = answer.json()
    check_job(job)
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["ETag"]
    return job


def test_many_pictures_in_one_multipart_request(http):
    pictures = cifar10()
    answer = http.post("/v1/jobs", files=files(*pictures), data={"metadata": json.dumps({"album": ["é", 1, None]})})
    job = check_accepted(answer)
    assert job["kind"] == "classification" and job["counts"]["total"] == 40
    assert job["metadata"] == {"album": ["é", 1, None]}

    over = finished(http, job["id"])
    check_job(over)
    assert over["state"] == "succeeded" and over["progress"] == 1 and over["error"] is None
    assert over["counts"] == {"total": 40, "succeeded": 40, "failed": 0, "cancelled": 0}
    assert over["created_at"] <= over["started_at"] <= over["finished_at"] < over["expires_at"]

    items = results(http, job["id"])
    for item in items:
        check_item(item)
        assert item["model"] == over["model"] and (item["width"], item["height"]) == (32, 32)
    by_name = {item["filename"]: item for item in items}
    assert {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in pictures} == {
        name: (item["bytes"], item["sha256"]) for name, item in by_name.items()
    }
    right = [name for name, item in by_name.items() if name.startswith(item["predictions"][0]["label"] + "-")]
    assert len(right) >= 20, "under half of the real pictures are right"


def test_labels_stand_at_stable_indices(http):
    job_id = submit(http, *cifar10())
    finished(http, job_id)
    pairs = {(p["index"], p["label"]) for item in results(http, job_id) for p in item["predictions"]}
    assert len(pairs) == len(dict(pairs)) == len({label for _, label in pairs}) <= 10


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("p.zip", zip_of(("a/one.png", png(1)), ("a/", b""), ("two.png", png(2)), ("__MACOSX/._x", b"-"))),
        ("p.tar", tar_of(("a/one.png", png(1)), ("two.png", png(2)), (".DS_Store", b"-"))),
        ("p.tar.gz", gzip.compress(tar_of(("a/one.png", png(1)), ("two.png", png(2))))),
        ("says-nothing", gzip.compress(tar_of(("a/one.png", png(1)), ("two.png", png(2))))),
    ],
    ids=["zip", "tar", "tar.gz", "name says nothing"],
)
def test_archive_among_the_files(http, name, archive):
    assert outcomes(http, (name, archive), ("three.png", png(3))) == {
        "a/one.png": "succeeded",
        "two.png": "succeeded",
        "three.png": "succeeded",
    }


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream"])
def test_raw_picture_as_body(http, kind):
    """The content decides, whatever image type the header says."""
    answer = http.post("/v1/jobs", content=png(), headers={"Content-Type": kind})
    job = check_accepted(answer)
    assert finished(http, job["id"])["state"] == "succeeded"
    (item,) = results(http, job["id"])
    check_item(item)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "HEIF"])
def test_each_accepted_format(http, kind):
    content = make.encode(make.pixels(40, 50), kind)
    answer = http.post("/v1/jobs", content=content, headers={"Content-Type": f"image/{kind.lower()}"})
    assert finished(http, check_accepted(answer)["id"])["counts"]["succeeded"] == 1


def test_raw_archive_as_body(http):
    archive = zip_of(("one.png", png(1)), ("two.png", png(2)))
    job = check_accepted(http.post("/v1/jobs", content=archive, headers={"Content-Type": "application/zip"}))
    assert finished(http, job["id"])["counts"]["total"] == 2


def test_chunked_body(http):
    """A body without a Content-Length."""
    content = make.photo(0.5)
    pieces = (content[start : start + 5000] for start in range(0, len(content), 5000))
    job = check_accepted(http.post("/v1/jobs", content=pieces, headers={"Content-Type": "image/jpeg"}))
    finished(http, job["id"])
    assert results(http, job["id"])[0]["sha256"] == hashlib.sha256(content).hexdigest()


def test_eleven_hundred_files_in_one_request_are_each_seen_once(http):
    """Given a job of 1,100 files, when its results are paged while it runs, then each appears once."""
    names = [f"{number}.png" for number in range(1100)]
    job_id = submit(http, *((name, png(number % 50)) for number, name in enumerate(names)))
    seen, after, done, waits = [], None, False, 0
    while not done:
        page = http.get(f"/v1/jobs/{job_id}/results", params={"limit": 97, **({"after": after} if after else {})})
        assert page.status_code == 200
        body = page.json()
        assert set(body) == {"data", "next", "done"} and len(body["data"]) <= 97
        seen += [item["filename"] for item in body["data"]]
        after, done = body["next"] or after, body["done"]
        if not body["data"]:
            http.get(f"/v1/jobs/{job_id}", params={"wait": 5})  # until there are more
            waits += 1
    assert waits, "the job was over before it was read"
    assert sorted(seen) == sorted(names)
    job = finished(http, job_id)
    assert job["counts"] == {"total": 1100, "succeeded": 1100, "failed": 0, "cancelled": 0}


def test_prefer_wait_gives_the_finished_job_with_results(http):
    answer = http.post("/v1/jobs", files=files(*cifar10()[:3]), headers={"Prefer": "wait=20"})
    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.headers["ETag"] == http.get(answer.headers["Location"]).headers["ETag"]
    job = answer.json()
    shown = job.pop("results")
    check_job(job)
    assert job["done"] and job["counts"]["succeeded"] == len(shown) == 3
    for item in shown:
        check_item(item)
    assert "Retry-After" not in answer.headers


def test_prefer_wait_shows_the_first_hundred_results(http):
    answer = http.post(
        "/v1/jobs", files=files(*((f"{n}.png", png(n)) for n in range(120))), headers={"Prefer": "wait=30"}
    )
    assert answer.status_code == 200 and len(answer.json()["results"]) == 100


def test_prefer_wait_that_is_too_short_is_not_applied(http):
    answer = http.post("/v1/jobs", files=files(("a.png", png())), headers={"Prefer": "wait=0"})
    check_accepted(answer)
    assert "Preference-Applied" not in answer.headers


def test_open_job_is_filled_worked_on_and_sealed(http):
    answer = http.post("/v1/jobs", json={"kind": "classification", "metadata": {"a": 1}})
    job = check_accepted(answer, 201)
    assert job["state"] == "open" and job["counts"]["total"] == 0 and job["metadata"] == {"a": 1}
    own = f"/v1/jobs/{job['id']}"

    first = put(http, job["id"], "cat.A_1-x", png(1))
    assert first.status_code == 201
    assert set(first.json()) == set(ITEM_FIELDS) and first.json()["key"] == "cat.A_1-x"
    again = put(http, job["id"], "cat.A_1-x", png(1))
    assert again.status_code == 200 and again.json()["sha256"] == first.json()["sha256"]
    problem(put(http, job["id"], "cat.A_1-x", png(2)), 409)

    wait_until(lambda: http.get(own).json()["counts"]["succeeded"] == 1, "the item is worked on")
    now = http.get(own).json()
    assert now["state"] == "open" and not now["done"]  # processed before it is sealed
    assert http.get(f"{own}/results").json()["data"][0]["key"] == "cat.A_1-x"

    check_accepted(http.post(f"{own}/seal"))
    assert finished(http, job["id"])["state"] == "succeeded"
    problem(put(http, job["id"], "late", png(3)), 409)
    late = put(http, job["id"], "cat.A_1-x", png(1))  # the first response may have been lost
    assert late.status_code == 200 and late.json()["sha256"] == first.json()["sha256"]
    problem(put(http, job["id"], "cat.A_1-x", png(2)), 409)
    problem(http.post(f"{own}/items", files=files(("late.png", png(3)))), 409)
    assert http.post(f"{own}/seal").status_code == 202  # a repeat changes nothing


def test_many_items_with_keys_may_be_repeated(http):
    job_id = open_job(http)
    pictures = files(("a.png", png(1)), ("b.png", png(2)), ("c.jpg", b"no picture"))
    answers = [
        http.post(f"/v1/jobs/{job_id}/items", files=pictures, data={"keys": '["one","two","three"]'}) for _ in range(2)
    ]
    for answer in answers:
        assert answer.status_code == 200
        data = answer.json()["data"]
        assert [set(entry) for entry in data] == [{"key", "state", "error"}] * 3
        assert [entry["key"] for entry in data] == ["one", "two", "three"]
        assert data[2]["state"] == "failed" and data[2]["error"]["code"] == "unsupported_format"
        assert [entry["error"] for entry in data[:2]] == [None, None]
    other = http.post(f"/v1/jobs/{job_id}/items", files=files(("a.png", png(9))), data={"keys": '["one"]'})
    (entry,) = other.json()["data"]
    assert entry["key"] == "one" and entry["state"] == "rejected" and entry["error"]["code"] == "key_conflict"
    http.post(f"/v1/jobs/{job_id}/seal")
    assert finished(http, job_id)["counts"] == {"total": 3, "succeeded": 2, "failed": 1, "cancelled": 0}


def test_a_repeat_says_why_an_item_has_failed_since(http):
    job_id, cut = open_job(http), odd.cut(png())

    def send():
        answer = http.post(f"/v1/jobs/{job_id}/items", files=files(("a.png", cut)), data={"keys": '["a"]'})
        return answer.json()["data"]

    (first,) = send()
    assert first == {"key": "a", "state": "pending", "error": None}
    (later,) = wait_until(lambda: [now for now in send() if now["state"] == "failed"], "a worker has tried it")
    assert later["error"]["code"] == "truncated"


@pytest.mark.parametrize(("start", "status"), [(png(), 202), (b"text", 415)])
@pytest.mark.parametrize("form", ["raw", "multipart", "zip"])
def test_one_big_file(http, form, start, status):
    content = start + random.Random(3).randbytes(9 * 1024 * 1024)
    if form == "raw":
        answer = http.post("/v1/jobs", content=content, headers={"Content-Type": "image/png"})
    elif form == "multipart":
        answer = http.post("/v1/jobs", files=files(("a.png", content)))
    else:
        answer = http.post("/v1/jobs", content=zip_of(("a.png", content)), headers={"Content-Type": "application/zip"})
    assert answer.status_code == status, answer.text


def test_a_parameter_that_the_address_cannot_have_is_refused(http):
    answer = http.post("/v1/jobs?metadata=1", content=png(), headers={"Content-Type": "image/png"})
    assert problem(answer, 422)["errors"][0]["pointer"] == "metadata"


def test_many_items_without_keys_get_some(http):
    job_id = open_job(http)
    first, second = (
        http.post(f"/v1/jobs/{job_id}/items", files=files(("a.png", png(1)), ("a.png", png(1)))).json()["data"]
        for _ in range(2)
    )
    assert len({entry["key"] for entry in first + second}) == 4
    http.post(f"/v1/jobs/{job_id}/seal")
    assert finished(http, job_id)["counts"]["succeeded"] == 4


def test_interrupted_upload_resumes_from_the_keys_that_are_there(http):
    job_id, wanted = open_job(http), {f"k{number}": png(number) for number in range(25)}
    for key in list(wanted)[:11]:
        assert put(http, job_id, key, wanted[key]).status_code == 201
    known, after = [], None
    while True:
        query = {"fields": "key", "limit": 4, **({"after": after} if after else {})}
        page = http.get(f"/v1/jobs/{job_id}/items", params=query).json()
        assert all(set(entry) == {"key"} for entry in page["data"])
        known += [entry["key"] for entry in page["data"]]
        after = page["next"]
        if after is None:
            break
    assert known == list(wanted)[:11]
    for key in wanted.keys() - set(known):
        put(http, job_id, key, wanted[key])
    http.post(f"/v1/jobs/{job_id}/seal")
    assert finished(http, job_id)["counts"]["succeeded"] == 25


def test_open_job_with_nothing_in_it_cannot_be_sealed(http):
    job_id = open_job(http)
    problem(http.post(f"/v1/jobs/{job_id}/seal"), 409)
    http.post(f"/v1/jobs/{job_id}/cancel")


def test_json_may_say_its_encoding(http):
    answer = http.post("/v1/jobs", content=b"{}", headers={**JSON, "Content-Type": "application/json; charset=utf-8"})
    check_accepted(answer, 201)
