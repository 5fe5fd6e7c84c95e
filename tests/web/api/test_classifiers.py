"""Classifiers of several owners: champions, isolation, and deletion, over the app on a real Redis."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask

from shared.domain.classifier import Classifier
from shared.services import Services
from tests.integration.helpers import png
from tests.versions_kit import measured, shipped, version_folder
from tests.web.api.kit import Caller

UNKNOWN = "nothing-20260101-00000000"
#: The first version of `fruit`, whose model is `b"0"`.
FIRST = f"copy-20260101-{hashlib.sha256(b'0').hexdigest()[:8]}"


@pytest.fixture
def people() -> dict[str, str]:
    return {"ann": "submit+train", "bob": "submit+train", "reader": "submit", "admin": "admin"}


@pytest.fixture
def ann(app: Flask) -> Caller:
    return Caller(app, "ann", root="")


@pytest.fixture
def bob(app: Flask) -> Caller:
    return Caller(app, "bob", root="")


@pytest.fixture
def admin(app: Flask) -> Caller:
    return Caller(app, "admin", root="")


@pytest.fixture
def fruit(parts: Services, tmp_path: Path) -> list[str]:
    """Publish three versions of ann's Classifier `fruit`, the first of which is its champion."""
    folders = [
        measured(version_folder(tmp_path, b"%d" % n, owner="ann", classifier="fruit", preset=f"p{n}")) for n in range(3)
    ]
    versions = [parts.registry.publish(folder).version for folder in folders]
    parts.registry.promote(versions[0])
    return versions


def names(call: Caller) -> list[str]:
    return [found["name"] for found in call("GET", "/v1/classifiers").json["data"]]


def test_the_shipped_classifiers_are_for_everybody(ann: Caller, bob: Caller) -> None:
    assert names(ann) == names(bob) and names(ann)[0] == "cifar10"
    found = ann("GET", "/v1/classifiers/cifar10")
    assert found.json["champion"]["version"] == shipped()
    assert (found.json["owner"], found.json["default"], found.json["labels"][3]) == (None, True, "cat")
    unchanged = {"If-None-Match": found.headers["ETag"]}
    assert ann._client.get("/v1/classifiers/cifar10", headers=ann._headers | unchanged).status_code == 304


def test_an_owner_promotes_and_rolls_back(ann: Caller, fruit: list[str]) -> None:
    before = ann("GET", "/v1/classifiers/fruit")
    assert (before.json["owner"], before.json["default"]) == ("ann", False)
    assert before.json["champion"]["version"] == fruit[0]
    path = before.json["links"]["champion"]
    promoted = ann("PUT", path, json={"version": fruit[1]}, match=before.headers["ETag"])
    assert promoted.json["champion"]["previous"] == fruit[0]
    assert promoted.json == ann("GET", "/v1/classifiers/fruit").json
    listed = ann("GET", before.json["links"]["versions"]).json["data"]
    assert {model["version"]: model["champion"] for model in listed} == dict(
        zip(fruit, (False, True, False), strict=True)
    )
    back = ann("PUT", path, json={"version": promoted.json["champion"]["previous"]}, match=promoted.headers["ETag"])
    assert (back.json["champion"]["version"], back.json["champion"]["previous"]) == (fruit[0], fruit[1])
    assert ann("GET", "/v1/models/aliases").json["champion"]["version"] == shipped(), "the default has its own"


def test_one_of_concurrent_promotions_with_one_etag_succeeds(app: Flask, ann: Caller, fruit: list[str]) -> None:
    seen = ann("GET", "/v1/classifiers/fruit").headers["ETag"]

    def promote(version: str) -> int:
        headers = ann._headers | {"If-Match": seen}
        answer = app.test_client().put("/v1/classifiers/fruit/champion", json={"version": version}, headers=headers)
        return answer.status_code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(promote, fruit[1:])) == [200, 412]


def test_what_a_promotion_needs(app: Flask, ann: Caller, admin: Caller, fruit: list[str]) -> None:
    path = "/v1/classifiers/fruit/champion"
    ann("PUT", path, 428, json={"version": fruit[1]})
    assert "/version" in ann("PUT", path, 422, json={"version": UNKNOWN}, match="*").text
    assert "cifar10" in ann("PUT", path, 422, json={"version": shipped()}, match="*").json["detail"]
    assert (
        "fruit"
        in admin("PUT", "/v1/models/aliases/champion", 422, json={"version": fruit[1]}, match="*").json["detail"]
    )
    ann("PUT", "/v1/classifiers/cifar10/champion", 403, json={"version": shipped()}, match="*")
    admin("PUT", "/v1/classifiers/cifar10/champion", json={"version": shipped()}, match="*")
    Caller(app, "reader", root="")("PUT", path, 404, json={"version": fruit[1]}, match="*")


def test_others_see_neither_the_classifier_nor_its_versions(
    ann: Caller, bob: Caller, admin: Caller, fruit: list[str]
) -> None:
    """Bob's answers about ann's Classifier are those about one that does not exist."""
    theirs, nothing = fruit[0], UNKNOWN
    calls = [("GET", "/v1/classifiers/{c}"), ("DELETE", "/v1/classifiers/{c}"), ("PUT", "/v1/classifiers/{c}/champion")]
    calls += [("GET", f"/v1/models/{{v}}{end}") for end in ("", "/file", "/confusions")] + [
        ("GET", "/models/{v}"),
        ("GET", "/classifiers/{c}"),
    ]
    for method, path in calls:
        answers = [
            bob(method, path.format(c=c, v=v), 404, match="*", json={"version": v})
            for c, v in (("fruit", theirs), ("nothing", nothing))
        ]
        assert answers[0].text.replace(theirs, nothing).replace("fruit", "nothing") == answers[1].text
    assert theirs not in bob("GET", "/v1/models").text + bob("GET", "/v1/classifiers").text
    bob("GET", f"/v1/models/compare?versions={theirs},{shipped()}", 422)
    training = {"kind": "training", "params": {"preset": "seed", "base": theirs}}
    assert "no model version" in bob("POST", "/v1/jobs", 422, json=training).text
    assert ann("GET", f"/v1/models/compare?versions={theirs},{fruit[1]}").json["images"] == 10
    assert admin("GET", f"/v1/models/{theirs}").json["owner"] == "ann"


def test_two_owners_may_use_one_name(
    ann: Caller, bob: Caller, parts: Services, fruit: list[str], tmp_path: Path
) -> None:
    folder = version_folder(tmp_path, b"bob's", owner="bob", classifier="fruit")
    bobs = parts.registry.publish(folder).version
    assert bob("GET", "/v1/classifiers/fruit").json["champion"] is None, "publishing does not promote"
    etag = bob("GET", "/v1/classifiers/fruit").headers["ETag"]
    assert bob("PUT", "/v1/classifiers/fruit/champion", json={"version": bobs}, match=etag).json["labels"]
    assert ann("GET", "/v1/classifiers/fruit").json["champion"]["version"] == fruit[0]


def test_deleting_a_classifier_keeps_its_versions(ann: Caller, fruit: list[str]) -> None:
    ann("DELETE", "/v1/classifiers/fruit", 204)
    assert "fruit" not in names(ann)
    for method, path in (("GET", ""), ("DELETE", ""), ("PUT", "/champion")):
        ann(method, f"/v1/classifiers/fruit{path}", 404, json={"version": fruit[0]}, match="*")
    assert ann("GET", f"/v1/models/{fruit[0]}").json["champion"] is False
    ann("DELETE", "/v1/classifiers/cifar10", 409)


@pytest.fixture
def sent(ann: Caller, parts: Services):
    """Return a function that sends a request for a job and returns the pinned Classifier and version."""

    def send(query: str = "", **options) -> tuple[str, str]:
        job = ann("POST", f"/v1/jobs{query}", 202 if "json" not in options else 201, **options).json
        assert parts.store.get(job["id"]).model == job["model"]
        return job["classifier"], job["model"]

    return send


def picture() -> tuple[BytesIO, str]:
    return BytesIO(png()), "a.png"


def test_a_job_is_pinned_to_a_classifier(sent, parts: Services, fruit: list[str]) -> None:
    """A request names the Classifier, a version, or both: in the query, in JSON, or in parts before the files."""
    raw = {"data": png(), "content_type": "image/png"}
    assert sent(**raw) == ("cifar10", shipped())
    assert sent("?classifier=fruit", **raw) == ("fruit", fruit[0])
    assert sent("?version=" + fruit[2], **raw) == ("fruit", fruit[2])
    assert sent("?classifier=fruit", json={}) == ("fruit", fruit[0])
    assert sent(json={"classifier": "fruit", "version": fruit[1]}) == ("fruit", fruit[1])
    assert sent("?classifier=fruit", data={"files": picture()}) == ("fruit", fruit[0])
    assert sent(data={"version": fruit[1], "classifier": "fruit", "files": picture()}) == ("fruit", fruit[1])
    assert [found.name for found in parts.classifiers.in_use()] == ["fruit"]


def form(*parts: tuple[str, bytes]) -> dict[str, object]:
    """Return a multipart body with these parts in this order; `files` is a picture."""
    lines = []
    for name, content in parts:
        filename = '; filename="a.png"' if name == "files" else ""
        lines += [b"--x", f'Content-Disposition: form-data; name="{name}"{filename}'.encode(), b"", content]
    return {"data": b"\r\n".join([*lines, b"--x--", b""]), "content_type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize(
    ("query", "body", "pointer"),
    [
        ("?classifier=nothing", {"json": {}}, "classifier"),
        ("?version=nothing", {"data": png(), "content_type": "image/png"}, "version"),
        ("", {"json": {"classifier": "Fruit!"}}, "/classifier"),
        ("", {"json": {"classifier": "new"}}, "/classifier"),
        ("", {"json": {"classifier": "cifar10", "version": FIRST}}, "/version"),
        (f"?version={FIRST}", {"json": {"classifier": "new"}}, "version"),
        ("?classifier=fruit", form(("classifier", b"fruit"), ("files", png())), "classifier"),
        ("", form(("files", png()), ("classifier", b"fruit")), "/classifier"),
        ("", form(("classifier", b"nothing"), ("files", png())), "/classifier"),
        ("?classifier=fruit", {"json": {"kind": "training", "params": {"preset": "seed"}}}, "classifier"),
        ("", {"json": {"kind": "training", "params": {"preset": "seed"}, "classifier": "fruit"}}, "/"),
    ],
)
@pytest.mark.usefixtures("fruit")
def test_a_wrong_pin_is_named(admin: Caller, parts: Services, query: str, body, pointer: str) -> None:
    parts.classifiers.add(Classifier("new", "admin"))  # without a champion
    answer = admin("POST", "/v1/jobs" + query, 422, **body)
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]
    assert parts.job_list.page(10)[0] == [], "nothing is left behind"


def test_a_model_that_is_sent_again_serves_if_its_import_ended_too_early(
    admin: Caller, parts: Services, tmp_path: Path
) -> None:
    """Given an import that was killed between publishing and promoting, When repeated, Then the version serves."""
    file = b"PK\x03\x04 a model"
    source = hashlib.sha256(file).hexdigest()
    card = {"owner": "admin", "classifier": "fruit", "source_sha256": source}
    version = parts.registry.publish(version_folder(tmp_path, **card)).version
    for _ in range(2):
        assert admin("POST", "/v1/models", data={"file": (BytesIO(file), "net.keras")}).json["version"] == version
        assert admin("GET", "/v1/classifiers/fruit").json["champion"]["version"] == version
    parts.registry.promote(other := parts.registry.publish(version_folder(tmp_path, b"other", **card)).version)
    admin("POST", "/v1/models", data={"file": (BytesIO(file), "net.keras")})
    assert admin("GET", "/v1/classifiers/fruit").json["champion"]["version"] == other, "one that is chosen stays"
