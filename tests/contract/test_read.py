"""Every way to read a job in docs/api.md: status, results, files, pictures, the list, and the health checks."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import threading
import time
import zipfile
from typing import Any

import pytest
from PIL import Image

from tests.contract.test_submit import ITEM_FIELDS, check_item, check_job
from tests.fixtures import make, odd
from tests.integration.helpers import cifar10, finished, open_job, png, problem, put, results, submit

BIG = make.photo(1)

#: Seconds for an answer that does not wait for its 30 s to pass, even if the cores are busy.
SOONER_S = 25


@pytest.fixture(scope="module")
def job(service):
    """A finished job: 40 real pictures, one big, and two files that are none."""
    with service.client() as http:
        job_id = submit(http, *cifar10(), ("big.jpg", BIG), ("=1+1.jpg", b"text"), ("empty.png", b""))
        yield finished(http, job_id)


def test_status_has_an_etag_and_no_retry_after_when_done(http, job):
    answer = http.get(job["links"]["self"])
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    check_job(answer.json())
    assert "Retry-After" not in answer.headers
    same = http.get(job["links"]["self"], headers={"If-None-Match": answer.headers["ETag"]})
    assert same.status_code == 304 and same.content == b"" and same.headers["ETag"] == answer.headers["ETag"]
    other = http.get(job["links"]["self"], headers={"If-None-Match": 'W/"other"'})
    assert other.status_code == 200


def test_etag_changes_with_the_counts(http):
    job_id = open_job(http)
    before = http.get(f"/v1/jobs/{job_id}")
    assert int(before.headers["Retry-After"]) >= 1
    put(http, job_id, "a", png())
    after = http.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200 and after.headers["ETag"] != before.headers["ETag"]


def test_wait_returns_when_something_changes(service, http):
    job_id = open_job(http)

    def change():
        time.sleep(0.3)
        with service.client() as other:
            put(other, job_id, "a", png())

    thread = threading.Thread(target=change)
    thread.start()
    answer = http.get(f"/v1/jobs/{job_id}", params={"wait": 30}, timeout=SOONER_S)
    assert answer.json()["counts"]["total"] == 1
    thread.join()


def test_wait_ends_after_its_time_without_a_change(http):
    job_id = open_job(http)
    etag = http.get(f"/v1/jobs/{job_id}").headers["ETag"]
    for headers, status in (({}, 200), ({"If-None-Match": etag}, 304)):
        began = time.monotonic()
        answer = http.get(f"/v1/jobs/{job_id}", params={"wait": 1}, headers=headers)
        assert time.monotonic() - began >= 1
        assert answer.status_code == status


def test_wait_returns_at_once_if_the_client_is_behind_or_the_job_has_ended(http, job):
    old = {"If-None-Match": 'W/"old"'}
    behind = http.get(f"/v1/jobs/{open_job(http)}", params={"wait": 30}, headers=old, timeout=SOONER_S)
    ended = http.get(job["links"]["self"], params={"wait": 30}, timeout=SOONER_S)
    assert (behind.json()["state"], ended.json()["state"]) == ("open", "succeeded")


def test_results_come_in_pages_in_the_order_of_finishing(http, job):
    whole = results(http, job["id"])
    assert results(http, job["id"], limit=7) == whole and len(whole) == 43
    assert [item["finished_at"] for item in whole] == sorted(item["finished_at"] for item in whole)
    failed = [item for item in whole if item["state"] == "failed"]
    assert {item["filename"]: item["error"]["code"] for item in failed} == {
        "=1+1.jpg": "unsupported_format",
        "empty.png": "empty_file",
    }
    for item in failed:
        assert list(item) == list(ITEM_FIELDS)
        assert item["predictions"] == [] and item["model"] is None and item["error"]["detail"]


def test_cursor_of_a_running_job_goes_on_later(http):
    job_id = open_job(http)
    page = http.get(f"/v1/jobs/{job_id}/results").json()
    assert page["data"] == [] and page["next"] and not page["done"]
    put(http, job_id, "a", png())
    http.post(f"/v1/jobs/{job_id}/seal")
    finished(http, job_id)
    rest = http.get(f"/v1/jobs/{job_id}/results", params={"after": page["next"]}).json()
    assert [item["key"] for item in rest["data"]] == ["a"] and rest["done"]


def test_results_filters(http, job):
    whole = results(http, job["id"])
    good = [item for item in whole if item["state"] == "succeeded"]
    assert results(http, job["id"], state="succeeded") == good
    assert {item["state"] for item in results(http, job["id"], state="failed")} == {"failed"}
    assert results(http, job["id"], state="cancelled") == []
    label = good[0]["predictions"][0]["label"]
    of_label = [item for item in good if item["predictions"][0]["label"] == label]
    assert results(http, job["id"], label=label) == of_label
    unsure = [item for item in good if item["predictions"][0]["score"] <= 0.9]
    assert results(http, job["id"], max_score=0.9) == unsure
    assert results(http, job["id"], max_score=0.9, label=label, state="succeeded", limit=1) == [
        item for item in unsure if item in of_label
    ]
    sure = [item for item in good if item["predictions"][0]["score"] >= 0.9]
    assert results(http, job["id"], min_score=0.9) == sure
    assert [item["filename"] for item in results(http, job["id"], filename="CAT-4")] == ["cat-46.png"]
    assert results(http, job["id"], corrected="false") == whole and results(http, job["id"], corrected="true") == []
    for name, wrong in (
        ("corrected", "yes"),
        ("min_score", "2"),
        ("max_score", "high"),
        ("filename", ""),
        ("label", "fish"),
    ):
        body = problem(http.get(f"/v1/jobs/{job['id']}/results", params={name: wrong}), 422)
        assert body["errors"][0]["pointer"] == name


def test_results_sorted_by_score(http, job):
    ranked = results(http, job["id"], sort="score", state="succeeded", limit=9)
    scores = [item["predictions"][0]["score"] for item in ranked]
    assert scores == sorted(scores) and len(scores) == 41
    assert len(results(http, job["id"], sort="score")) == 43


def test_csv_has_every_item_and_no_formula(http, job):
    answer = http.get(f"{job['links']['results']}.csv")
    assert answer.status_code == 200 and answer.headers["X-Job-Done"] == "true"
    assert answer.headers["Content-Type"].split(";")[0] == "text/csv"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    items = results(http, job["id"])
    assert [row["key"] for row in rows] == [item["key"] for item in items]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    for row, item in zip(rows, items, strict=True):
        best = item["predictions"][0] if item["predictions"] else {"label": "", "index": "", "score": ""}
        assert (row["label"], row["index"], row["score"]) == tuple(
            str(best[name]) for name in ("label", "index", "score")
        )
        assert row["error_code"] == (item["error"] or {"code": ""})["code"]


def test_ndjson_is_the_same_as_the_pages(http, job):
    answer = http.get(f"{job['links']['results']}.ndjson")
    assert answer.status_code == 200 and answer.headers["X-Job-Done"] == "true"
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()] == results(http, job["id"])


def test_json_is_the_same_as_the_pages(http, job):
    answer = http.get(f"{job['links']['results']}.json")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.json() == {"data": results(http, job["id"]), "done": True}


def test_zip_has_the_pictures_in_folders_by_label(http, job):
    first = results(http, job["id"], state="succeeded")[0]
    http.put(f"{job['links']['self']}/items/{first['key']}/label", json={"label": "frog"})
    answer = http.get(f"{job['links']['results']}.zip")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["X-Job-Done"] == "true" and answer.headers["Content-Disposition"].endswith('.zip"')
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    left_out = archive.read("left-out.txt").decode()
    del digests["left-out.txt"]
    items = results(http, job["id"])
    expected = {
        f"{folder_of(item)}/{item['filename']}": item["sha256"] for item in items if item["state"] == "succeeded"
    }
    assert digests == expected and f"frog/{first['filename']}" in digests
    assert left_out.count("\r\n") == 2 and "empty.png" in left_out and "=1+1.jpg" in left_out
    http.delete(f"{job['links']['self']}/items/{first['key']}/label")


def folder_of(item: dict[str, Any]) -> str:
    best = "unknown" if item["unknown"] else item["predictions"][0]["label"]
    return item["corrected_label"] or best


@pytest.mark.parametrize("ending", ["csv", "ndjson", "json", "zip"])
def test_whole_results_of_a_running_job(http, ending):
    answer = http.get(f"/v1/jobs/{open_job(http)}/results.{ending}")
    assert answer.status_code == 200 and answer.headers["X-Job-Done"] == "false"
    problem(http.get(f"/v1/jobs/{'0' * 32}/results.{ending}"), 404)


def test_picture_comes_back_as_it_was(http, job):
    for item in results(http, job["id"], state="succeeded", limit=50)[:3]:
        answer = http.get(f"{job['links']['self']}/items/{item['id']}/image")
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert hashlib.sha256(answer.content).hexdigest() == item["sha256"]


def test_thumbnail_is_small(http, job):
    (big,) = (item for item in results(http, job["id"]) if item["filename"] == "big.jpg")
    answer = http.get(f"{job['links']['self']}/items/{big['id']}/image", params={"size": "thumb"})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert max(Image.open(io.BytesIO(answer.content)).size) <= 512 and len(answer.content) < len(BIG) / 5


def test_heatmap_is_as_large_as_the_thumbnail(http, job):
    for name in ("big.jpg", "cat-0.png"):
        (item,) = (item for item in results(http, job["id"], limit=50) if item["filename"] == name)
        address = f"{job['links']['self']}/items/{item['id']}"
        heatmap, thumbnail = http.get(f"{address}/heatmap"), http.get(f"{address}/image", params={"size": "thumb"})
        assert heatmap.status_code == 200 and heatmap.headers["Content-Type"] == "image/png"
        sizes = [Image.open(io.BytesIO(answer.content)).size for answer in (heatmap, thumbnail)]
        assert sizes[0] == sizes[1]
    problem(http.get(f"{address}/heatmap", params={"label": "unicorn"}), 422)
    for item in results(http, job["id"], state="failed"):
        problem(http.get(f"{job['links']['self']}/items/{item['id']}/heatmap"), 409)


def test_thumbnail_of_what_no_worker_could_decode_is_for_the_moment(http):
    job_id = submit(http, ("cut.png", odd.cut(png())), ("a.png", png()))
    finished(http, job_id)
    (item,) = results(http, job_id, state="failed")
    address = f"/v1/jobs/{job_id}/items/{item['key']}/image"
    whole, small = http.get(address), http.get(address, params={"size": "thumb"})
    assert small.content == whole.content and small.headers["ETag"] == whole.headers["ETag"]
    assert "immutable" in whole.headers["Cache-Control"] and small.headers["Cache-Control"] == "private, no-cache"


def test_picture_of_a_refused_item_is_not_there(http, job):
    for item in results(http, job["id"], state="failed"):
        problem(http.get(f"{job['links']['self']}/items/{item['id']}/image"), 404)
    problem(http.get(f"{job['links']['self']}/items/nobody/image"), 404)


def test_items_are_all_there_in_the_order_of_coming(http, job):
    page = http.get(f"{job['links']['self']}/items", params={"limit": 41}).json()
    assert [item["filename"] for item in page["data"][:40]] == [name for name, _ in cifar10()] and page["next"]
    for item in page["data"]:
        check_item(item)


def test_list_is_newest_first_and_goes_on_by_its_link(http):
    mine = [submit(http, ("a.png", png(n))) for n in range(5)]
    answer = http.get("/v1/jobs", params={"limit": 2})
    assert [job["id"] for job in answer.json()["data"]] == mine[:2:-1]
    found = []
    while len(found) < 5:
        found += [job["id"] for job in answer.json()["data"]]
        address = answer.headers["Link"]
        assert address.startswith("<") and address.endswith('>; rel="next"')
        assert answer.json()["next"] in address
        answer = http.get(answer.links["next"]["url"])
        assert answer.status_code == 200
    assert found[:5] == mine[::-1]


def test_list_ends_without_a_link(http, job):
    answer, jobs = http.get("/v1/jobs", params={"limit": 1000, "kind": "classification"}), []
    jobs = answer.json()["data"]
    assert answer.json()["next"] is None and "Link" not in answer.headers
    assert job["id"] in {one["id"] for one in jobs}
    for one in jobs:
        check_job(one)


def test_list_filters(http, job):
    waiting = open_job(http)
    of_state = {
        state: {one["id"] for one in http.get("/v1/jobs", params={"state": state, "limit": 1000}).json()["data"]}
        for state in ("open", "succeeded")
    }
    assert waiting in of_state["open"] - of_state["succeeded"]
    assert job["id"] in of_state["succeeded"] - of_state["open"]
    of_kind = http.get("/v1/jobs", params={"kind": "training", "limit": 1000}).json()["data"]
    assert job["id"] not in {one["id"] for one in of_kind} and {one["kind"] for one in of_kind} <= {"training"}
    next_link = http.get("/v1/jobs", params={"state": "succeeded", "limit": 1}).links
    if next_link:
        assert "state=succeeded" in next_link["next"]["url"] and "limit=1" in next_link["next"]["url"]


def test_health_and_readiness(http):
    alive = http.get("/healthz")
    assert alive.status_code == 200 and alive.headers["Content-Type"] == "application/json"
    ready = http.get("/readyz")
    assert ready.status_code == 200 and ready.headers["Content-Type"] == "application/json"
    checks = ready.json()["checks"]
    assert {"redis", "storage", "workers"} <= set(checks) and all(check["ok"] for check in checks.values())
