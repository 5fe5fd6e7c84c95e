"""`GET /v1/presets`: what can be trained, with which parameters, and what it costs."""

from __future__ import annotations

import math

import pytest

from shared.redis import keys
from shared.services import Services
from shared.settings import Settings
from tests.conftest import wait_until
from tests.integration.helpers import problem, redis_of
from web.app import create_app

COST_FIELDS = {"parameters", "flops_per_image", "images_per_s", "seconds_per_epoch", "seconds", "basis", "host"}
ALWAYS_THERE = {"epochs", "batch_size", "learning_rate", "augment", "label_smoothing", "seed"}
TYPES = {"integer": int, "number": int | float, "boolean": bool, "string": str}


@pytest.fixture(scope="module")
def listed(service):
    with service.client() as http:
        yield wait_until(lambda: announced(http), "the presets are announced").json()


def announced(http):
    answer = http.get("/v1/presets")
    return answer if answer.status_code == 200 else None


def check_parameter(name, parameter):
    assert {"default", "type", "description"} <= parameter.keys(), name
    if parameter["type"] in ("integer", "number"):
        assert parameter["minimum"] <= parameter["default"] <= parameter["maximum"], name
        assert "unit" in parameter, name
    if parameter["type"] == "string":
        assert parameter["default"] in parameter["enum"], name
    if isinstance(parameter["type"], str):
        assert isinstance(parameter["default"], TYPES[parameter["type"]]), name


def test_every_preset_with_its_parameters(listed):
    presets = {preset["name"]: preset for preset in listed["data"]}
    assert {"seed", "classic", "fast", "wide"} == presets.keys() and len(listed["data"]) == 4
    for preset in listed["data"]:
        assert preset.keys() == {"name", "summary", "parameters", "cost"} and preset["summary"]
        assert preset["parameters"].keys() >= ALWAYS_THERE
        for name, parameter in preset["parameters"].items():
            check_parameter(name, parameter)
    assert presets["fast"]["parameters"]["batch_size"]["unit"] == "images"


def test_what_every_training_has(listed):
    assert listed.keys() == {"data", "common"}
    assert {name: parameter["default"] for name, parameter in listed["common"].items()} == {
        "dataset": "cifar10",
        "promote": "never",
        "base": None,
    }
    assert listed["common"]["promote"]["enum"] == ["never", "if_better", "always"]
    assert listed["common"]["base"]["type"] == ["string", "null"]
    for name, parameter in listed["common"].items():
        check_parameter(name, parameter)


def test_what_a_training_costs(listed):
    for preset in listed["data"]:
        cost, epochs = preset["cost"], preset["parameters"]["epochs"]["default"]
        assert cost.keys() == COST_FIELDS and cost["basis"] in ("measured", "estimated") and cost["host"]
        assert cost["parameters"] > 10_000 and cost["flops_per_image"] > 1_000_000
        assert math.isclose(cost["seconds_per_epoch"], 48_000 / cost["images_per_s"], rel_tol=0.01)
        assert math.isclose(cost["seconds"], epochs * cost["seconds_per_epoch"], rel_tol=0.01)
    work = {preset["name"]: preset["cost"]["flops_per_image"] for preset in listed["data"]}
    assert work["seed"] < work["classic"] < work["fast"] < work["wide"]


@pytest.mark.usefixtures("listed")
def test_it_has_an_etag(http):
    answer = http.get("/v1/presets")
    assert answer.headers["Content-Type"] == "application/json"
    same = http.get("/v1/presets", headers={"If-None-Match": answer.headers["ETag"]})
    assert same.status_code == 304 and same.content == b"" and same.headers["ETag"] == answer.headers["ETag"]
    assert http.get("/v1/presets", headers={"If-None-Match": '"other"'}).status_code == 200


def test_other_ways_to_ask_are_refused(http):
    unknown = problem(http.get("/v1/presets", params={"limit": 5}), 422)
    assert [error["pointer"] for error in unknown["errors"]] == ["limit"]
    problem(http.post("/v1/presets", json={}), 405)
    problem(http.get("/v1/presets/fast"), 404)


def test_what_redis_has_lost_is_announced_again(service, http, listed):
    with redis_of(service) as client:
        assert client.delete(keys.PRESETS) == 1
    again = wait_until(lambda: announced(http), "the presets are announced again").json()
    assert [preset["name"] for preset in again["data"]] == [preset["name"] for preset in listed["data"]]


def test_while_nobody_has_announced_anything_it_says_so(each_redis, each_redis_url, tmp_path):
    """The web process over an empty Redis: in a running service the reconciler announces at once."""
    assert not each_redis.dbsize()
    web = create_app(Services.build(Settings(redis_url=each_redis_url, data_dir=tmp_path))).test_client()
    for answer in (web.get("/v1/presets"), web.post("/v1/jobs", json={"kind": "training"})):
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert answer.json["detail"] == "no training worker has said yet what it can train"
        assert int(answer.headers["Retry-After"]) > 0
