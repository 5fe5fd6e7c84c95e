"""`/v1/models` of the running service: cards, files, comparisons, and the champion."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shared.domain.card import CARD_FILE, MODEL_FILE, ModelCard
from shared.domain.classifier import EVERYDAY
from shared.models.registry import SHIPPED, Registry
from tests.integration.helpers import JSON, finished, open_job, png, problem, submit
from tests.versions_kit import measured, services_of, shipped, version_folder

CHAMPION, ALIASES = "/v1/models/aliases/champion", "/v1/models/aliases"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UNKNOWN = "nothing-20260101-00000000"


@pytest.fixture
def two(service, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Publish two evaluated versions; remove them afterwards."""
    with services_of(service) as parts:
        folders = [measured(version_folder(tmp_path, b"1"), bytes(10)), measured(version_folder(tmp_path, b"2"))]
        yield tuple(parts.registry.publish(folder).version for folder in folders)


@pytest.fixture
def seen(http: httpx.Client) -> str:
    """Return the ETag of the aliases."""
    return http.get(ALIASES).headers["ETag"]


def put(http: httpx.Client, version: str, **headers: str) -> httpx.Response:
    return http.put(
        CHAMPION, json={"version": version}, headers={name.replace("_", "-"): v for name, v in headers.items()}
    )


def test_a_model_has_its_card_and_links_to_its_files(http: httpx.Client) -> None:
    version = shipped()
    model = http.get(f"/v1/models/{version}").json()
    own = f"/v1/models/{version}"
    assert model.pop("champion") is True
    assert model.pop("links") == {
        "self": own,
        "file": f"{own}/file",
        "confusions": None,
        "page": f"/models/{version}",
    }
    assert ModelCard.model_validate(model) == ModelCard.read(SHIPPED / version / CARD_FILE)


def test_the_list_has_every_version_newest_first(http: httpx.Client, two: tuple[str, str]) -> None:
    data = http.get("/v1/models").json()["data"]
    assert {model["version"] for model in data} >= {*two, shipped()}
    assert [model["created_at"] for model in data] == sorted((m["created_at"] for m in data), reverse=True)
    champions = {model["classifier"]: model["version"] for model in data if model["champion"]}
    ours = {"cifar10": shipped(), "everyday": Registry().champion(EVERYDAY).version}
    assert champions | ours == champions  # there may be Classifiers of other tests
    assert data[0] == http.get(data[0]["links"]["self"]).json()


def test_the_file_is_the_model(http: httpx.Client, two: tuple[str, str]) -> None:
    for version in (shipped(), two[0]):
        answer = http.get(f"/v1/models/{version}/file")
        digest = http.get(f"/v1/models/{version}").json()["file_sha256"]
        assert hashlib.sha256(answer.content).hexdigest() == digest
        assert answer.headers["ETag"] == f'"{digest}"'
        assert answer.headers["Content-Disposition"] == f"attachment; filename={version}.keras"
        assert answer.headers["Content-Type"] == "application/octet-stream"
        again = http.get(f"/v1/models/{version}/file", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    part = http.get(f"/v1/models/{shipped()}/file", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.content) == (206, (SHIPPED / shipped() / MODEL_FILE).read_bytes()[:10])


def test_the_confusions_are_a_picture(http: httpx.Client, two: tuple[str, str]) -> None:
    answer = http.get(http.get(f"/v1/models/{two[0]}").json()["links"]["confusions"])
    assert (answer.content, answer.headers["Content-Type"]) == (b"\x89PNG", "image/png")
    again = http.get(f"/v1/models/{two[0]}/confusions", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("part", ["", "/file", "/confusions"])
@pytest.mark.parametrize("version", [UNKNOWN, "..", "%2e%2e%2fmodels", "x" * 3000, "%00", "ä"])
def test_an_unknown_version_is_not_found(http: httpx.Client, version: str, part: str) -> None:
    problem(http.get(f"/v1/models/{version}{part}"), 404)


@pytest.mark.parametrize("path", ["", f"/{UNKNOWN}", "/aliases", f"/{UNKNOWN}/file", f"/{UNKNOWN}/confusions"])
def test_an_unknown_parameter_is_refused(http: httpx.Client, path: str) -> None:
    problem(http.get(f"/v1/models{path}", params={"colour": "red"}), 422)


def test_two_versions_are_compared(http: httpx.Client, two: tuple[str, str]) -> None:
    answer = http.get("/v1/models/compare", params={"versions": ",".join(two)})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["versions"], found["images"], found["accuracy"]) == (list(two), 10, [0.1, 1.0])
    assert (found["difference"], found["only_first"], found["only_second"]) == (0.9, 0, 9)
    assert found["interval"][0] < 0.9 < found["interval"][1] <= 1
    assert found["p_value"] == pytest.approx(2 / 2**9)
    assert found["verdict"] == "better"
    assert found["summary"].startswith("The second is better")
    assert found["per_class"][1] == {"label": "automobile", "first": 0.0, "second": 1.0, "difference": 1.0}
    assert len(found["per_class"]) == 10


@pytest.mark.parametrize("versions", [None, "", "{0}", "{0},{0}", "{0},{1},{0}", "{0},", f"{{0}},{UNKNOWN}", "..,{0}"])
def test_a_comparison_takes_two_different_versions_that_are_there(
    http: httpx.Client, two: tuple[str, str], versions: str | None
) -> None:
    query = {} if versions is None else {"versions": versions.format(*two)}
    body = problem(http.get("/v1/models/compare", params=query), 422)
    assert [fault["pointer"] for fault in body["errors"]] == ["versions"]


def test_what_was_not_measured_on_the_same_images_is_not_compared(
    http: httpx.Client, service, two: tuple[str, str], tmp_path: Path
) -> None:
    with services_of(service) as parts:
        folders = [version_folder(tmp_path, b"3"), measured(version_folder(tmp_path, b"4"), truth=b"\0" * 10)]
        for folder in folders:
            parts.registry.publish(folder)
            answer = http.get("/v1/models/compare", params={"versions": f"{two[0]},{folder.name}"})
            assert folder.name in problem(answer, 409)["detail"]


def test_the_aliases_name_the_champion(http: httpx.Client) -> None:
    answer = http.get(ALIASES)
    champion = answer.json()["champion"]
    assert (champion["version"], champion["previous"]) == (shipped(), None)
    assert TIME.fullmatch(champion["since"])
    assert re.fullmatch(r'"[^"]+"', answer.headers["ETag"])  # strong, since If-Match does not accept weak ones
    assert http.get(ALIASES, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_promote_and_roll_back(http: httpx.Client, two: tuple[str, str], seen: str) -> None:
    """A client that knows the champion may change it; the response has what is needed to change it back."""
    answer = put(http, two[0], If_Match=seen)
    assert answer.status_code == 200, answer.text
    champion = answer.json()["champion"]
    assert (champion["version"], champion["previous"]) == (two[0], shipped())
    assert answer.json() == http.get(ALIASES).json()
    assert answer.headers["ETag"] == http.get(ALIASES).headers["ETag"] != seen
    assert http.get(f"/v1/models/{two[0]}").json()["champion"] is True
    job = http.get(f"/v1/jobs/{open_job(http)}").json()
    assert job["model"] == two[0]
    http.post(f"/v1/jobs/{job['id']}/cancel")

    back = put(http, champion["previous"], If_Match=answer.headers["ETag"])
    assert back.json()["champion"]["version"] == shipped()
    assert finished(http, submit(http, ("a.png", png())))["model"] == shipped()


def test_a_lost_update_of_the_champion_is_prevented(http: httpx.Client, two: tuple[str, str], seen: str) -> None:
    assert put(http, two[0], If_Match=seen).status_code == 200
    for stale in (seen, '"other"', f"W/{seen}", '"a", "b"'):
        assert two[0] in problem(put(http, two[1], If_Match=stale), 412)["detail"]
    assert http.get(ALIASES).json()["champion"]["version"] == two[0]
    assert put(http, two[1], If_Match="*").status_code == 200
    now = http.get(ALIASES).headers["ETag"]
    assert put(http, shipped(), If_Match=f'"other", {now}').status_code == 200


def test_a_promotion_needs_a_condition(http: httpx.Client, two: tuple[str, str]) -> None:
    for headers in ({}, {"If_Match": ""}):
        assert "If-Match" in problem(put(http, two[0], **headers), 428)["detail"]
    assert http.get(ALIASES).json()["champion"]["version"] == shipped()


@pytest.mark.parametrize("version", [UNKNOWN, "", "..", "x" * 129, 3, None])
def test_only_a_version_that_is_there_is_promoted(http: httpx.Client, version: str | None) -> None:
    body = problem(put(http, version, If_Match="*"), 422)
    assert [fault["pointer"] for fault in body["errors"]] == ["/version"]
    assert http.get(ALIASES).json()["champion"]["version"] == shipped()


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"", JSON, 400),
        (b"[]", JSON, 422),
        (b"{}", JSON, 422),
        (b'{"version": "a", "colour": 1}', JSON, 422),
        (b"version=a", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_a_promotion_is_one_json_object(
    http: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    problem(http.put(CHAMPION, content=content, headers=headers | {"If-Match": "*"}), status)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/models/aliases/challenger"),
        ("DELETE", f"/v1/models/{UNKNOWN}"),
        ("POST", ALIASES),
        ("GET", CHAMPION),
    ],
)
def test_unknown_models_files_and_methods(http: httpx.Client, method: str, path: str) -> None:
    problem(http.request(method, path), 404, 405)
