"""Imports over HTTP: the Labels of their pictures. No worker runs; a claim shows what one would get."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from flask import Flask

from shared.domain.entities import Upload
from shared.services import Services
from tests.fixtures import make
from tests.web.api.kit import Caller


def png(seed: int) -> bytes:
    return make.encode(make.pixels(24, 32, seed), "PNG")


def pictures(count: int) -> list[bytes]:
    return [png(seed) for seed in range(count)]


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def files(*named: tuple[str, bytes]) -> list[tuple[io.BytesIO, str]]:
    return [(io.BytesIO(content), name) for name, content in named]


def claimed(parts: Services) -> list[Upload]:
    chunk = parts.chunks.claim("worker", ["interactive", "bulk"])
    assert chunk is not None
    assert chunk.dataset is not None
    return list(chunk.uploads)


def labels(parts: Services) -> dict[str, str | None]:
    return {upload.filename: upload.label for upload in claimed(parts)}


@pytest.fixture(autouse=True)
def things(ann: Caller) -> None:
    ann("POST", json={"name": "things"}, status=201)


def send(ann: Caller, data: dict[str, Any], query: str = "", status: int = 202) -> dict[str, Any]:
    return ann("POST", f"/things/imports{query}", data=data, status=status).json


def test_folders_are_labels(ann: Caller, parts: Services) -> None:
    one, two, three = pictures(3)
    job = send(
        ann, {"files": files(("mine/cats/1.png", one), ("a.zip", zipped({"x/dogs/2.png": two, "3.png": three})))}
    )
    assert (job["kind"], job["params"]["dataset"]) == ("import", "things")
    assert labels(parts) == {"mine/cats/1.png": "cats", "x/dogs/2.png": "dogs", "3.png": None}


def test_labels_have_the_order_of_the_pictures(ann: Caller) -> None:
    names = ["b/1.png", "c/2.png", "a/3.png", "10/4.png", "2/5.png"]
    send(ann, {"files": files(*((name, png(number)) for number, name in enumerate(names)))})
    labels = ann("GET", "/things").json["labels"]
    assert [(label["index"], label["name"]) for label in labels] == list(enumerate(["b", "c", "a", "10", "2"]))


def test_flat_imports_ignore_folders(ann: Caller, parts: Services) -> None:
    send(ann, {"files": files(("cats/1.png", png(1)))}, "?layout=flat")
    assert labels(parts) == {"cats/1.png": None}


def test_a_label_for_all(ann: Caller, parts: Services) -> None:
    send(ann, {"files": files(("cats/1.png", png(1)), ("2.png", png(2)))}, "?label=%20Käfer")
    assert set(labels(parts).values()) == {"Käfer"}


def test_the_label_for_all_comes_before_those_for_each_file(ann: Caller, parts: Services) -> None:
    data = {"files": files(("a/1.png", png(1)), ("a/2.png", png(2))), "labels": json.dumps(["cat", None])}
    send(ann, data, "?label=dog")
    assert set(labels(parts).values()) == {"dog"}


def test_a_list_that_is_not_text_fails_by_name(ann: Caller, app: Flask) -> None:
    archive = zipped({"labels.csv": b"file,label\n\xff.png,cat\n", "a/1.png": png(1)})
    job = send(ann, {"files": files(("1.png", png(2)), ("a.zip", archive))})
    assert (job["counts"]["total"], job["counts"]["failed"]) == (2, 1)
    (item,) = Caller(app, "ann", f"/v1/jobs/{job['id']}")("GET", "/results").json["data"]
    assert item["error"]["code"] == "bad_labels"
    assert "`labels.csv` is not UTF-8 text" in item["error"]["detail"]


def test_an_import_says_what_its_parts_have_asked_for(ann: Caller, parts: Services) -> None:
    job = send(ann, {"label": "dog", "layout": "flat", "files": files(("cats/1.png", png(1)))})
    assert job["params"] == {"dataset": "things", "label": "dog", "layout": "flat"}
    assert labels(parts) == {"cats/1.png": "dog"}


def test_a_label_for_each_file(ann: Caller, parts: Services) -> None:
    data = {"files": files(("a/1.png", png(1)), ("a/2.png", png(2))), "labels": json.dumps(["cat", None])}
    send(ann, data)
    assert labels(parts) == {"a/1.png": "cat", "a/2.png": "a"}


def test_the_list_in_an_archive_wins_over_folders(ann: Caller, parts: Services) -> None:
    listed = "\ufefffile;label\r\na/1.png;cat\r\na/2.png;\r\nnot-there.png;cat\r\n".encode()
    archive = zipped({"a/1.png": png(1), "labels.csv": listed, "a/2.png": png(2), "a/3.png": png(3)})
    job = ann("POST", "/things/imports", data=archive, content_type="application/zip", status=202).json
    assert labels(parts) == {"a/1.png": "cat", "a/2.png": None, "a/3.png": "a"}
    assert job["counts"] == {"total": 4, "succeeded": 0, "failed": 1, "cancelled": 0}


def test_an_archive_has_a_list_in_each_folder(ann: Caller, parts: Services) -> None:
    one, other = ("file,label\n1.png,cat\n", "file,label\n1.png,dog\n")
    content = {"train/labels.csv": one.encode(), "train/1.png": png(1), "test/1.png": png(2), "test/2.png": png(3)}
    archive = zipped({**content, "test/labels.csv": other.encode()})
    ann("POST", "/things/imports", data=archive, content_type="application/zip", status=202)
    assert labels(parts) == {"train/1.png": "cat", "test/1.png": "dog", "test/2.png": "test"}


def test_one_raw_picture(ann: Caller, parts: Services) -> None:
    ann("POST", "/things/imports?label=cat", data=png(1), content_type="image/png", status=202)
    assert [upload.label for upload in claimed(parts)] == ["cat"]


def test_an_open_import_is_filled_and_sealed(ann: Caller, app: Flask, parts: Services) -> None:
    job = ann("POST", "/things/imports", json={"layout": "folders"}, status=201).json
    assert job["state"] == "open"
    call = Caller(app, "ann", f"/v1/jobs/{job['id']}")
    added = call("POST", "/items", data={"files": files(("cats/1.png", png(1))), "keys": '["k1"]'})
    assert added.json["data"][0]["state"] == "pending"
    call("PUT", "/items/k2?label=dog", data=png(2), content_type="image/png", status=201)
    call("POST", "/seal", status=202)
    assert {upload.key: upload.label for upload in claimed(parts)} == {"k1": "cats", "k2": "dog"}


@pytest.mark.parametrize(
    ("query", "data", "pointer"),
    [
        ("?label=" + "x" * 201, {}, "label"),
        ("?label=a%0Ab", {}, "label"),
        ("?layout=deep", {}, "layout"),
        ("", {"labels": '["cat"]'}, "/labels"),
        ("", {"labels": '["cat", 1]'}, "/labels"),
        ("", {"labels": '["cat", "a\\nb"]'}, "/labels/1"),
    ],
)
def test_wrong_labels_are_named(ann: Caller, query: str, data: dict[str, str], pointer: str) -> None:
    sent = {"files": files(("1.png", png(1)), ("2.png", png(2))), **data}
    problem = send(ann, sent, query, status=422)
    assert [fault["pointer"] for fault in problem["errors"]] == [pointer]


def test_a_folder_that_cannot_be_a_label_fails_alone(ann: Caller, parts: Services) -> None:
    job = send(ann, {"files": files(("x" * 201 + "/1.png", png(1)), ("cat/2.png", png(2)))})
    assert job["counts"]["failed"] == 1
    assert labels(parts) == {"cat/2.png": "cat"}


def test_an_archive_whose_list_contradicts_itself_is_refused(ann: Caller) -> None:
    archive = zipped({"1.png": png(1), "labels.csv": b"file,label\n1.png,cat\n1.png,dog\n"})
    problem = ann("POST", "/things/imports", data=archive, content_type="application/zip", status=422).json
    assert "line 3" in problem["detail"]


def test_only_the_owner_imports(bob: Caller) -> None:
    bob("POST", "/things/imports", data=png(1), content_type="image/png", status=404)


def test_an_import_is_not_made_by_the_calls_for_other_jobs(app: Flask) -> None:
    call = Caller(app, "admin", "/v1/jobs")
    call("POST", json={"kind": "import"}, status=422)
    job = call("POST", json={"kind": "classification"}, status=201).json
    call("PUT", f"/{job['id']}/items/k?label=cat", data=png(1), content_type="image/png", status=422)
