"""Datasets over HTTP: the app on a real Redis and a real blob store. Imports are committed without a worker."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from urllib.parse import quote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from shared.datasets.files import DATASETS_FOLDER
from shared.datasets.names import MAX_LABELS
from shared.datasets.pictures import MAX_CHANGES
from shared.domain.csv_cells import unescape_formula
from shared.domain.entities import ItemState
from shared.models.registry import Registry
from shared.services import Services
from shared.storage import blobs
from tests.shared.datasets.kit import DatasetKit, Given
from tests.web.api.kit import Caller, faults

PICTURE_FIELDS = ["id", "filename", "label", "split", "pinned", "group", "width", "height", "bytes", "sha256",
                  "suggested", "doubt", "rejected", "links"]  # fmt: skip


def labels(caller: Caller, name: str = "fruit") -> dict[str, tuple[int, int, int]]:
    """Return index and counts of each Label."""
    found = caller("GET", f"/{name}").json["labels"]
    assert all(list(label) == ["index", "name", "train", "test"] for label in found)
    return {label["name"]: (label["index"], label["train"], label["test"]) for label in found}


def pictures(caller: Caller, **query) -> list[dict]:
    found = caller("GET", "/fruit/pictures", query_string=query).json["data"]
    assert all(list(picture) == PICTURE_FIELDS for picture in found)
    return found


def ids(caller: Caller, **query) -> list[str]:
    return [picture["id"] for picture in pictures(caller, **query)]


def test_a_dataset_is_created_listed_read_and_deleted(ann: Caller) -> None:
    made = ann("POST", json={"name": "birds", "labels": [" cafe\u0301 ", "owl"]}, status=201)
    assert made.headers["Location"] == "/v1/datasets/birds"
    assert labels(ann, "birds") == {"caf\u00e9": (0, 0, 0), "owl": (1, 0, 0)}
    found = ann("GET", "/birds")
    assert found.json == made.json and found.headers["ETag"] == made.headers["ETag"]
    same = ann("GET", "/birds", 304, headers={"If-None-Match": found.headers["ETag"]})
    assert same.headers["ETag"] == found.headers["ETag"]
    ann("POST", "/birds/labels", json={"name": "tit"}, status=201)
    ann("GET", "/birds", headers={"If-None-Match": found.headers["ETag"]})
    ann("POST", json={"name": "birds"}, status=409)
    for name in ("ants", "cats"):
        ann("POST", json={"name": name}, status=201)
    page = ann("GET", query_string={"limit": 2})
    assert [each["name"] for each in page.json["data"]] == ["ants", "birds"]
    (following,) = re.findall(r'</v1/datasets(\?[^>]+)>; rel="next"', page.headers["Link"])
    assert [each["name"] for each in ann("GET", following).json["data"]] == ["cats"]
    ann("DELETE", "/birds", 204)
    for method in ("GET", "DELETE"):
        ann(method, "/birds", 404)
    ann("POST", json={"name": "birds"}, status=201)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "Fruit"}, "/name"),
        ({"name": ""}, "/name"),
        ({"name": "a" * 65}, "/name"),
        ({"name": "a/b"}, "/name"),
        ({"name": ".."}, "/name"),
        ({"name": "fruit\n"}, "/name"),
        ({"name": "cifar10"}, "/name"),
        ({"name": "everyday"}, "/name"),
        ({"name": 3}, "/name"),
        ({}, "/name"),
        ({"name": "a", "labels": ["ok", "a\nb"]}, "/labels/1"),
        ({"name": "a", "labels": [" "]}, "/labels/0"),
        ({"name": "a", "labels": ["x" * 201]}, "/labels/0"),
        ({"name": "a", "labels": ["x" * 4000]}, "/labels/0"),
        ({"name": "a", "labels": ["safe\u202egnp"]}, "/labels/0"),
        ({"name": "a", "labels": [".."]}, "/labels/0"),
        ({"name": "a", "labels": "ok"}, "/labels"),
        ({"name": "a", "labels": [f"{n}" for n in range(MAX_LABELS + 1)]}, "/labels"),
        ({"name": "a", "size": 3}, "/size"),
    ],
)
def test_a_wrong_dataset_is_refused_with_the_wrong_field(ann: Caller, body: dict, pointer: str) -> None:
    assert faults(ann("POST", json=body, status=422)) == [pointer]
    assert ann("GET").json == {"data": [], "next": None}


def test_unusual_labels_are_kept_as_they_are(ann: Caller) -> None:
    names = ["<b>fox</b>", "=HYPERLINK(1)", "שועל", "a/b", "100 %", "?#&", "Fox", "fox", "x" * 200]
    ann("POST", json={"name": "odd", "labels": names}, status=201)
    assert list(labels(ann, "odd")) == names
    for index, name in enumerate(names):
        renamed = ann("PUT", f"/odd/labels/{quoted(name)}", json={"name": f"label {index}"})
        assert renamed.json == {"index": index, "name": f"label {index}", "train": 0, "test": 0}


def quoted(name: str) -> str:
    return quote(name, safe="")


def test_two_thousand_labels_are_the_most(ann: Caller) -> None:
    ann("POST", json={"name": "many", "labels": [f"{n} {'x' * 190}" for n in range(MAX_LABELS)]}, status=201)
    assert "2000" in ann("POST", "/many/labels", json={"name": "one more"}, status=409).json["detail"]
    ann("DELETE", "/many/labels/" + quoted(f"7 {'x' * 190}"), 204)
    added = ann("POST", "/many/labels", json={"name": "one more"}, status=201)
    assert added.json["index"] == MAX_LABELS, "an index is not given twice"


@pytest.mark.usefixtures("fruit")
def test_pictures_are_listed_filtered_and_paged(ann: Caller) -> None:
    found = pictures(ann)
    assert [each["id"] for each in found] == ["1", "2", "3", "4", "5", "6"]
    assert [each["label"] for each in found] == ["apple", "apple", "pear", "=1+1", None, "pear/small"]
    assert [each["group"] for each in found] == ["1", "1", "3", "4", "5", "6"]
    assert (found[3]["split"], found[4]["split"]) == ("test", None)
    assert ids(ann, label="apple") == ["1", "2"]
    assert ids(ann, label=" apple ", sort="newest") == ["2", "1"]
    assert ids(ann, state="unlabelled") == ["5"]
    assert ids(ann, state="labelled") == ["1", "2", "3", "4", "6"]
    assert ids(ann, state="unlabelled", label="apple") == []
    assert "4" in ids(ann, split="test") and "5" not in ids(ann, split="test") + ids(ann, split="train")
    assert ids(ann, q="A.PNG") == ["1"]
    assert ids(ann, group="1") == ["1", "2"]
    assert ids(ann, group="1", sort="newest") == ["2", "1"]
    assert ids(ann, group="1", q="b") == ["2"]
    assert ids(ann, group="3") == ["3"]
    assert ids(ann, group="2") == ids(ann, group="7") == ids(ann, group="9999999999") == []
    orders = (("4&sort=oldest", list("123456")), ("4&sort=newest", list("654321")), ("1&group=1", list("12")))
    for order, expected in orders:
        seen, path = [], f"/fruit/pictures?limit={order}"
        while path:
            page = ann("GET", path)
            seen += [each["id"] for each in page.json["data"]]
            link = re.findall(r"</v1/datasets([^>]+)>", page.headers.get("Link", ""))
            assert bool(link) == bool(page.json["next"])
            path = link[0] if link else ""
        assert seen == expected
    assert ann("GET", "/fruit/pictures/1").json == found[0]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"label": "plum"}, "label"),
        ({"split": "val"}, "split"),
        ({"state": "open"}, "state"),
        ({"sort": "name"}, "sort"),
        ({"q": ""}, "q"),
        ({"group": "0"}, "group"),
        ({"limit": "0"}, "limit"),
        ({"after": "x"}, "after"),
        ({"size": "1"}, "size"),
    ],
)
@pytest.mark.usefixtures("fruit")
def test_a_wrong_filter_is_named(ann: Caller, query: dict, pointer: str) -> None:
    assert faults(ann("GET", "/fruit/pictures", 422, query_string=query)) == [pointer]


@pytest.mark.usefixtures("fruit")
def test_a_picture_is_labelled_and_pinned_with_its_near_copies(ann: Caller) -> None:
    before = labels(ann)
    changed = ann("PUT", "/fruit/pictures/5", json={"label": "pear"}).json
    assert changed["label"] == "pear" and changed["split"] in ("train", "test")
    assert sum(labels(ann)["pear"][1:]) == sum(before["pear"][1:]) + 1
    for side in ("test", "train"):
        pinned = ann("PUT", "/fruit/pictures/2", json={"split": side}).json
        assert (pinned["split"], pinned["pinned"], pinned["label"]) == (side, True, "apple")
        assert [each["split"] for each in pictures(ann, label="apple")] == [side, side]
    assert labels(ann)["apple"] == (1, 2, 0)
    unlabelled = ann("PUT", "/fruit/pictures/2", json={"label": None, "split": "test"}).json
    assert (unlabelled["label"], unlabelled["split"]) == (None, "test")
    assert ann("GET", "/fruit").json["unlabelled"] == 1
    for body, pointer in (
        ({"label": "plum"}, "/label"),
        ({"label": "a\nb"}, "/label"),
        ({"split": "val"}, "/split"),
        ({"label": "pear", "split": None}, "/"),
        ({}, "/"),
        ({"name": "x"}, "/name"),
        ({"rejected": "apple"}, "/rejected"),
        ({"rejected": "plum"}, "/rejected"),
        ({"rejected": "pear", "label": "apple"}, "/"),
    ):
        assert faults(ann("PUT", "/fruit/pictures/2", 422, json=body)) == [pointer]
    for number in ("7", "0", "-1", "x", "9" * 10, "9" * 40):
        for method in ("GET", "PUT", "DELETE"):
            ann(method, f"/fruit/pictures/{number}", 404, json={"label": "pear"})
        ann("GET", f"/fruit/pictures/{number}/image", 404)


@pytest.mark.usefixtures("fruit")
def test_another_method_is_not_allowed(ann: Caller) -> None:
    for path in ("/fruit/pictures/labels", "/fruit/pictures/delete"):
        for method in ("GET", "PUT", "DELETE"):
            assert set(ann(method, path, 405, json={"label": "pear"}).allow) == {"OPTIONS", "POST"}


@pytest.mark.usefixtures("fruit")
def test_many_pictures_are_labelled_or_none(ann: Caller) -> None:
    before = pictures(ann)
    for wanted, status, pointers in (
        ({"1": "pear", "77": "pear"}, 404, None),
        ({"1": "pear", "2": "plum", "3": "a\nb"}, 422, ["/labels/3"]),
        ({"1": "pear", "2": "plum"}, 422, ["/labels/2"]),
        ({}, 422, ["/labels"]),
        ({"x": "pear"}, 422, ["/labels/x/[key]"]),
    ):
        answer = ann("POST", "/fruit/pictures/labels", status, json={"labels": wanted})
        assert pointers is None or faults(answer) == pointers
    ann("POST", "/fruit/pictures/labels", 422, json={"labels": {str(n): "pear" for n in range(1, MAX_CHANGES + 2)}})
    ann("POST", "/fruit/pictures/labels", 413, data=b" " * 5_000_000, content_type="application/json")
    assert pictures(ann) == before
    for _ in range(2):
        answer = ann("POST", "/fruit/pictures/labels", json={"labels": {"1": "pear", "2": None, "5": "pear"}})
        assert answer.json == {"pictures": 3}
    assert [each["label"] for each in pictures(ann)] == ["pear", None, "pear", "=1+1", "pear", "pear/small"]


@pytest.mark.usefixtures("fruit")
def test_labels_are_renamed_merged_and_deleted(ann: Caller) -> None:
    ann("PUT", "/fruit/labels/apple", json={"name": "Apple"})
    assert labels(ann)["Apple"] == (1, *labels(ann)["Apple"][1:])
    assert "merge" in ann("PUT", "/fruit/labels/Apple", 409, json={"name": "pear"}).json["detail"]
    total = sum(sum(each[1:]) for each in labels(ann).values())
    merged = ann("PUT", "/fruit/labels/Apple", json={"name": "pear", "merge": True}).json
    assert (merged["index"], merged["train"] + merged["test"]) == (0, 3)
    assert sum(sum(each[1:]) for each in labels(ann).values()) == total
    ann("DELETE", "/fruit/labels/pear%2Fsmall", 204, query_string={"pictures": "delete"})
    assert ids(ann) == ["1", "2", "3", "4", "5"]
    ann("DELETE", "/fruit/labels/pear", 204)
    assert ids(ann, state="unlabelled") == ["1", "2", "3", "5"]
    assert list(labels(ann)) == ["=1+1"]
    ann("DELETE", "/fruit/labels/pear", 404)
    ann("PUT", "/fruit/labels/pear", 404, json={"name": "plum"})
    assert faults(ann("DELETE", "/fruit/labels/x", 422, query_string={"pictures": "keep"})) == ["pictures"]
    assert ann("POST", "/fruit/labels", json={"name": "pear"}, status=201).json["index"] == 4


@pytest.mark.usefixtures("fruit")
def test_a_deleted_picture_is_gone_with_its_bytes(ann: Caller, parts: Services) -> None:
    stored = len(parts.blobs.keys(DATASETS_FOLDER))
    assert ann("GET", "/fruit/pictures/1/image").data == b"a"
    ann("DELETE", "/fruit/pictures/1", 204)
    ann("POST", "/fruit/pictures/delete", 404, json={"pictures": ["2", "77"]})
    assert ids(ann) == ["2", "3", "4", "5", "6"]
    assert ann("POST", "/fruit/pictures/delete", json={"pictures": ["1", "2", "3", "3"]}).json == {"pictures": 3}
    assert ids(ann) == ["4", "5", "6"], "with those that are there, although one was gone"
    assert len(parts.blobs.keys(DATASETS_FOLDER)) == stored - 6
    for path in ("/fruit/pictures/1", "/fruit/pictures/1/image"):
        ann("GET", path, 404)
    assert ann("GET", "/fruit").json["pictures"] == 3
    ann("DELETE", "/fruit", 204)
    assert parts.blobs.keys(DATASETS_FOLDER) == []
    assert not list(parts.redis.scan_iter("darkroom:dataset*", count=1000))


@pytest.mark.usefixtures("fruit")
def test_pictures_are_deleted_from_a_full_disk(ann: Caller, parts: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a full disk, Then the picture's bytes go at once, and its hash when there is room to write the others."""
    stored = len(parts.blobs.keys(DATASETS_FOLDER))
    with monkeypatch.context() as full:
        full.setattr(blobs, "RESERVE_BYTES", 1 << 60)
        ann("DELETE", "/fruit/pictures/1", 204)
    assert len(parts.blobs.keys(DATASETS_FOLDER)) == stored - 2
    assert len(parts.dataset_sweep.unfinished(10)) == 1
    parts.dataset_sweep.run()
    assert parts.dataset_sweep.unfinished(10) == []


@pytest.mark.usefixtures("fruit")
def test_a_picture_has_a_safe_type_and_an_etag(ann: Caller) -> None:
    whole = ann("GET", "/fruit/pictures/1/image")
    assert (whole.data, whole.content_type) == (b"a", "image/png")
    assert (
        "sandbox" in whole.headers["Content-Security-Policy"] and whole.headers["X-Content-Type-Options"] == "nosniff"
    )
    small = ann("GET", "/fruit/pictures/1/image?size=thumb")
    assert (small.data, small.content_type) == (b"small", "image/jpeg")
    assert small.headers["ETag"] != whole.headers["ETag"]
    ann("GET", "/fruit/pictures/1/image", 304, headers={"If-None-Match": whole.headers["ETag"]})


@pytest.mark.usefixtures("fruit")
def test_the_archive_has_every_picture_and_a_table_that_says_all(ann: Caller) -> None:
    answer = ann("GET", "/fruit/archive")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="fruit.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert archive.testzip() is None
        rows = list(csv.DictReader(io.StringIO(archive.read("labels.csv").decode())))
        contents = {row["id"]: archive.read(unescape_formula(row["file"])) for row in rows}
        names = set(archive.namelist())
    assert names == {"apple/a.png", "apple/b.png", "pear/c.png", "=1+1/d.png", "e.png", "small/f.png", "labels.csv"}
    assert list(contents.values()) == [b"a", b"b", b"c", b"d", b"e", b"../../f"]
    expected = [
        (each["id"], each["label"] or "", each["split"] or "", each["group"], "yes" if each["pinned"] else "")
        for each in pictures(ann)
    ]
    found = [(row["id"], unescape_formula(row["label"]), row["split"], row["group"], row["pinned"]) for row in rows]
    assert found == expected
    assert rows[3]["label"] == "'=1+1"


def test_the_jobs_of_a_deleted_dataset_fail(ann: Caller, fruit: str, kit: DatasetKit) -> None:
    waiting = kit.jobs.open_job(owner="ann")
    kit.store.add_job(fruit, waiting)
    chunk = kit.claim(Given("x"))
    ann("DELETE", "/fruit", 204)
    assert kit.jobs.store.get(waiting).failure.code == "dataset_deleted"
    assert kit.commit(fruit, chunk, Given("x")).state == "gone"
    (item,) = kit.results.items(chunk.job_id, 10).items
    assert (item.state, item.outcome.failure.code) == (ItemState.FAILED, "dataset_deleted")
    ann("POST", json={"name": "fruit"}, status=201)
    assert ids(ann) == []


def calls(app: Flask) -> list[tuple[str, str]]:
    """Return the method and the path of each call, below `/v1/datasets`."""
    names = {"<dataset>": "fruit", "<int:number>": "1", "<path:label>": "apple"}
    found = []
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/v1/datasets"):
            path = re.sub(r"<[^>]+>", lambda part: names[part[0]], rule.rule.removeprefix("/v1/datasets"))
            found += [(method, path) for method in sorted(rule.methods - {"HEAD", "OPTIONS"})]
    return found


@pytest.mark.usefixtures("fruit")
def test_another_owner_sees_nothing_and_a_change_needs_its_scope(app: Flask, ann: Caller, bob: Caller) -> None:
    before = ann("GET", "/fruit").json
    bodies = {
        "/fruit/labels": {"name": "x"},
        "/fruit/labels/apple": {"name": "x"},
        "/fruit/pictures": {"job": "0" * 32, "corrected": True},
        "/fruit/pictures/labels": {"labels": {"1": "pear"}},
        "/fruit/pictures/delete": {"pictures": ["1"]},
        "/fruit/pictures/1": {"label": "pear"},
    }
    reader = Caller(app, "reader")
    for method, path in calls(app):
        if path:
            for stranger in (bob, Caller(app, "admin")):
                theirs = stranger(method, path, 404, json=bodies.get(path))
                unknown = stranger(method, path.replace("fruit", "plums"), 404, json=bodies.get(path))
                assert theirs.text.replace("fruit", "plums") == unknown.text
        if method != "GET":
            assert "`train`" in reader(method, path, 403, json=bodies.get(path)).json["detail"]
    assert bob("GET").json["data"] == []
    bob("POST", json={"name": "fruit"}, status=201)
    assert ann("GET", "/fruit").json == before


def test_an_idempotency_key_makes_a_post_harmless(ann: Caller) -> None:
    again = {"Idempotency-Key": "the-same"}
    first = ann("POST", json={"name": "fruit"}, status=201, headers=again)
    repeated = ann("POST", json={"name": "fruit"}, status=201, headers=again)
    assert repeated.json == first.json and repeated.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize("preset", ["head", "finetune"])
def test_a_training_keeps_the_version_of_its_backbone(preset: str, app: Flask, kit: DatasetKit) -> None:
    dataset, jobs = kit.create("mine", owner="ann"), Caller(app, "ann", "/v1/jobs")
    kit.add(dataset, *(Given(f"{label}{each}", label) for label in ("apple", "pear") for each in range(5)))
    usual = Registry().backbone("everyday").version

    def submit(backbone: str, status: int) -> TestResponse:
        params = {"preset": preset, "dataset": "mine", "backbone": backbone}
        return jobs("POST", json={"kind": "training", "params": params}, status=status)

    assert [submit(name, 202).json["params"]["backbone"] for name in ("everyday", usual)] == [usual, usual]
    for name, reason in (("lite9", "no Backbone lite9 here"), (Registry().champion().version, "is not a Backbone")):
        refused = submit(name, 422)
        assert faults(refused) == ["/params/backbone"]
        assert f"{reason}; you have: everyday" in refused.json["detail"]


@pytest.mark.parametrize("preset", ["head", "finetune"])
def test_what_starts_from_the_backbone_needs_a_dataset_of_ones_own(preset: str, app: Flask) -> None:
    params = {"preset": preset, "dataset": "cifar10"}
    refused = Caller(app, "ann", "/v1/jobs")("POST", json={"kind": "training", "params": params}, status=422)
    assert faults(refused) == ["/params/dataset"]
    assert f"{preset} needs a dataset of your own" in refused.json["detail"]
