"""The pictures behind a version's figures: cells of its confusion matrix, changes, thresholds; over the app."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from shared.domain.card import ANSWERS_FILE, Unknown
from shared.models.answers import Answered, pack_answers, thresholds, unpack_answers
from shared.services import Services
from tests.versions_kit import shipped, version_folder
from tests.web.api.kit import Caller, faults

LABELS = ("pear", "apple", "=1+1", "pear/small")
#: Picture 2 is too unlike the training pictures, picture 3 has too low a score.
ANSWERS = (
    Answered(1, 1, 1, 0.75, 0.125),
    Answered(2, 1, 0, 0.9375, 0.5),
    Answered(3, 0, 1, 0.5, 0.25),
    Answered(4, 2, 2, 1.0, 0.25),
)
UNKNOWN = Unknown(score=0.625, distance=0.375, accepted=0.95)
#: An earlier version was wrong about picture 1 and right about the next two; it was not tested on picture 4.
EARLIER = (Answered(1, 1, 0, 0.5, None), Answered(2, 1, 1, 0.5, None), Answered(3, 0, 0, 0.5, None))


def publish(
    parts: Services, folder: Path, dataset: str, answers: tuple[Answered, ...], digest: str = "0" * 64, **changes: Any
) -> str:
    """Publish a version that was tested on ann's Dataset `fruit`, of which it saw what `digest` stands for."""
    card = {"owner": "ann", "classifier": "fruit", "labels": LABELS, "metrics": None, "calibration": None, **changes}
    card["dataset"] = {"name": "fruit", "id": dataset, "digest": digest, "train": 9, "validation": 0, "test": 4}
    made = version_folder(folder, **card)
    (made / ANSWERS_FILE).write_bytes(pack_answers(answers))
    return parts.registry.publish(made).version


@pytest.fixture
def version(parts: Services, fruit: str, tmp_path: Path) -> str:
    return publish(parts, tmp_path, fruit, ANSWERS, model=b"new", unknown=UNKNOWN.model_dump())


@pytest.fixture
def earlier(parts: Services, fruit: str, tmp_path: Path) -> str:
    return publish(parts, tmp_path, fruit, EARLIER, model=b"old", digest="1" * 64, unknown=None)


@pytest.fixture
def models(app: Flask) -> Caller:
    return Caller(app, "ann", root="/v1/models")


def ids(answer: Any) -> list[str]:
    return [each["id"] for each in answer.json["data"]]


def test_a_cell_of_the_matrix_has_its_pictures(models: Caller, version: str) -> None:
    found = models("GET", f"/{version}/answers?label=apple&answer=pear").json
    (answer,) = found["data"]
    assert (found["total"], found["next"]) == (1, None)
    assert answer["prediction"] == {"index": 0, "label": "pear", "score": 0.9375}
    assert (answer["label"], answer["novelty"], answer["unknown"], answer["before"]) == ("apple", 0.5, True, None)
    assert (answer["picture"]["id"], answer["picture"]["label"]) == ("2", "apple")
    assert ids(models("GET", f"/{version}/answers?label=1&answer=1")) == ["1"], "labels may be given by index"
    assert ids(models("GET", f"/{version}/answers")) == ["1", "2", "3", "4"]
    assert [each["unknown"] for each in models("GET", f"/{version}/answers").json["data"]] == [False, True, True, False]


def test_the_worst_mistakes_come_first_page_by_page(models: Caller, version: str) -> None:
    path = f"/{version}/answers?right=false&sort=surest&limit=1"
    first = models("GET", path)
    assert (ids(first), first.json["total"]) == (["2"], 2)
    second = models("GET", f"{path}&after={first.json['next']}")
    assert (ids(second), second.json["next"]) == (["3"], None)
    assert first.json["next"] in first.headers["Link"] and "Link" not in second.headers


def test_what_changed_against_another_version(models: Caller, version: str, earlier: str) -> None:
    path = f"/{version}/answers?against={earlier}"
    both = models("GET", path)
    assert ids(both) == ["1", "2", "3"], "only pictures that both were tested on"
    assert both.json["data"][0]["before"] == {"index": 0, "label": "pear", "score": 0.5}
    assert ids(models("GET", f"{path}&changed=better")) == ["1"]
    assert ids(models("GET", f"{path}&changed=worse&sort=surest")) == ["2", "3"]


def test_a_deleted_picture_is_not_shown(models: Caller, ann: Caller, version: str) -> None:
    ann("DELETE", "/fruit/pictures/2", 204)
    ann("PUT", "/fruit/pictures/3", json={"label": "apple"})
    found = {each["id"]: each for each in models("GET", f"/{version}/answers").json["data"]}
    assert (found["2"]["picture"], found["2"]["label"]) == (None, "apple")
    assert (found["3"]["picture"]["label"], found["3"]["label"]) == ("apple", "pear"), "as it is now, and as it was"
    # When another dataset has the name, then its pictures are not shown as those of the version
    ann("DELETE", "/fruit", 204)
    ann("POST", json={"name": "fruit"}, status=201)
    assert {each["picture"] for each in models("GET", f"/{version}/answers").json["data"]} == {None}


def test_others_see_no_answers_and_no_pictures(app: Flask, version: str, earlier: str) -> None:
    bob, admin = Caller(app, "bob", root="/v1/models"), Caller(app, "admin", root="/v1/models")
    for path in ("answers", "thresholds"):
        bob("GET", f"/{version}/{path}", 404)
    Caller(app, "admin")("POST", json={"name": "fruit"}, status=201)
    answers = admin("GET", f"/{version}/answers?against={earlier}").json["data"]
    assert [each["picture"] for each in answers] == [None] * 3, "the admin's own dataset has the same name"


def test_wrong_queries_are_named(models: Caller, version: str) -> None:
    for query, pointer in (
        ("label=plum", "label"),
        ("answer=4", "answer"),
        ("changed=better", ""),
        ("right=maybe", "right"),
        ("after=x", "after"),
        ("against=nothing-20260101-00000000", "against"),
        (f"against={shipped()}", "against"),
    ):
        assert faults(models("GET", f"/{version}/answers?{query}", 422)) == [pointer], query


def test_versions_without_comparable_answers(models: Caller, parts: Services, version: str, tmp_path: Path) -> None:
    models("GET", f"/{shipped()}/answers", 404)
    models("GET", f"/{shipped()}/thresholds", 404)
    other = publish(parts, tmp_path, "0" * 32, EARLIER, model=b"other dataset")
    models("GET", f"/{version}/answers?against={other}", 409)


def test_versions_are_compared_on_the_pictures_that_both_were_tested_on(
    models: Caller, parts: Services, version: str, earlier: str, tmp_path: Path
) -> None:
    found = models("GET", f"/compare?versions={earlier},{version}").json
    assert (found["images"], found["accuracy"]) == (3, [2 / 3, 1 / 3])
    assert (found["only_first"], found["only_second"], found["left_out"]) == (2, 1, [0, 1])
    assert "on 3 test images that both were measured on (0 more of the first and 1 of the second" in found["summary"]
    assert [row["label"] for row in found["per_class"]] == list(LABELS)
    fruit = parts.datasets.find("ann", "fruit")
    apart = publish(parts, tmp_path, fruit, ANSWERS[3:], model=b"other pictures", digest="2" * 64)
    assert "different pictures" in models("GET", f"/compare?versions={earlier},{apart}", 409).json["detail"]


def test_thresholds_count_answers_and_right_ones(models: Caller, version: str, earlier: str) -> None:
    found = models("GET", f"/{version}/thresholds").json
    assert (found["score"], found["pictures"]) == (0.625, 4)
    rows = {row["score"]: (row["answered"], row["right"]) for row in found["data"]}
    assert len(rows) == 101
    assert [rows[score] for score in (0, 0.5, 0.51, 0.625, 0.75, 0.76, 0.99)] == [
        (3, 2), (3, 2), (2, 2), (2, 2), (2, 2), (1, 1), (1, 1),
    ]  # fmt: skip
    assert models("GET", f"/{earlier}/thresholds").json["data"][50] == {"score": 0.5, "answered": 3, "right": 2}
    assert len(thresholds(ANSWERS, None)) == 100


def test_answers_are_packed() -> None:
    assert unpack_answers(pack_answers(ANSWERS + EARLIER)) == [*ANSWERS, *EARLIER]
