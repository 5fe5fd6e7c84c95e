"""Classified pictures of a Job are taken into a Dataset."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.classifier import EVERYDAY
from shared.domain.entities import JobKind, blob_key, job_folder
from shared.services import Services
from tests.shared.datasets.kit import DatasetKit
from tests.shared.kit import UNREADABLE, sure, upload
from tests.versions_kit import shipped
from tests.web.api.kit import Caller, faults


@pytest.fixture
def classified(parts: Services, kit: DatasetKit) -> str:
    """Return a Job of ann's with three cats, one of which was corrected to a dog, and a picture that failed.

    Two of the pictures are in a pack.
    """
    job = parts.store.create(JobKind.CLASSIFICATION, retention_s=3600, owner="ann", model=shipped())
    packed = {"b": "p#0", "c": "p#1"}
    parts.store.add(job, [replace(upload(name), size=1, pack=packed.get(name)) for name in "abcd"], 10)
    parts.store.seal(job)
    for stored_as, content in ((upload("a").sha256, b"a"), ("pack-p", b"bc"), (upload("d").sha256, b"d")):
        parts.blobs.put(blob_key(job, stored_as), content)
    chunk = kit.jobs.claim()
    assert parts.chunks.commit(chunk, {name: sure(index=3) for name in "abc"} | {"d": UNREADABLE})
    parts.corrections.put(job, {"b": 5})
    return job


@pytest.mark.usefixtures("fruit")
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"corrected": True}, {"b": "dog"}),
        ({"label": "cat"}, {"a": "cat", "c": "cat"}),
        ({"items": ["a", "b", "a"]}, {"a": "cat", "b": "dog"}),
        ({"items": ["c", "b"], "labelled": False}, {"c": None, "b": None}),
    ],
)
def test_classified_pictures_are_taken(
    ann: Caller, parts: Services, classified: str, choice: dict, expected: dict
) -> None:
    answer = ann("POST", "/fruit/pictures", 202, json={"job": classified, **choice})
    assert answer.json["kind"] == "import" and answer.headers["Location"] == f"/v1/jobs/{answer.json['id']}"
    assert parts.store.get(answer.json["id"]).model == parts.registry.alias(EVERYDAY).version, "makes the Embeddings"
    parts.store.remove(classified)
    parts.delete_bytes(classified)
    uploads = [item.upload for item in parts.results.items(answer.json["id"], 10).items]
    assert {each.key: each.label for each in uploads} == expected
    for each in uploads:
        assert parts.picture(answer.json["id"], each.sha256) == each.key.encode() and each.pack is None
    assert parts.datasets.jobs(parts.datasets.find("ann", "fruit")) == [answer.json["id"]]


@pytest.mark.usefixtures("fruit")
def test_what_cannot_be_taken_is_named(ann: Caller, bob: Caller, parts: Services, classified: str) -> None:
    for choice, pointer in (
        ({}, "/"),
        ({"corrected": True, "label": "cat"}, "/"),
        ({"corrected": False}, "/corrected"),
        ({"items": []}, "/items"),
        ({"items": ["a", "d"]}, "/items/1"),
        ({"items": ["x"]}, "/items/0"),
        ({"label": "fish"}, "/label"),
        ({"label": "ship"}, "/job"),
        ({"corrected": True, "job": "0" * 32}, "/job"),
        ({"corrected": True, "job": "x"}, "/job"),
    ):
        assert faults(ann("POST", "/fruit/pictures", 422, json={"job": classified, **choice})) == [pointer]
    bob("POST", json={"name": "fruit"}, status=201)
    assert faults(bob("POST", "/fruit/pictures", 422, json={"job": classified, "corrected": True})) == ["/job"]
    parts.blobs.delete_all(job_folder(classified))
    jobs = parts.job_list.page(10)[0]
    assert "deleted" in ann("POST", "/fruit/pictures", 422, json={"job": classified, "corrected": True}).json["detail"]
    assert parts.job_list.page(10)[0] == jobs, "nothing is left behind"
