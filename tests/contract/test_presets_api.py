"""`GET /v1/presets`."""

from __future__ import annotations

import pytest

from shared.services import Services
from shared.settings import Settings
from shared.training.params import schemas
from shared.training.presets import FastParams
from shared.training.speeds import Speed
from tests.integration.helpers import problem
from web.app import create_app

ALWAYS_THERE = {"epochs", "batch_size", "learning_rate", "augment", "label_smoothing", "seed"}


@pytest.fixture
def listed(http):
    return http.get("/v1/presets").json()


def test_every_preset_with_its_parameters(listed):
    presets = {preset["name"]: preset for preset in listed["data"]}
    assert list(presets) == ["seed", "classic", "fast", "wide", "distil", "head", "finetune"]
    for preset in listed["data"]:
        assert preset.keys() == {"name", "summary", "parameters", "cost"} and preset["summary"]
        assert preset["parameters"].keys() >= (ALWAYS_THERE if preset["name"] != "head" else {"seed"})
    assert presets["fast"]["parameters"]["batch_size"] == schemas(FastParams)["batch_size"]


def test_the_common_parameters(listed):
    assert listed.keys() == {"data", "common"}
    assert {name: parameter["default"] for name, parameter in listed["common"].items()} == {
        "dataset": "cifar10",
        "promote": "never",
        "base": None,
    }
    assert listed["common"]["promote"]["enum"] == ["never", "if_better", "always"]
    assert listed["common"]["base"]["type"] == ["string", "null"]


@pytest.mark.usefixtures("each_redis")
def test_the_time_of_a_training_follows_from_the_last_one(each_redis_url, tmp_path):
    """The web process over a Redis of its own: other tests may have trained in the service."""
    services = Services.build(Settings(redis_url=each_redis_url, data_dir=tmp_path))
    services.speeds.record("fast", Speed(300.0, "host"))
    listed = create_app(services).test_client().get("/v1/presets").json
    services.close()
    costs = {preset["name"]: preset["cost"] for preset in listed["data"]}
    weights = {name: cost.pop("parameters") for name, cost in costs.items()}
    assert weights["seed"] < weights["classic"] < weights["fast"] < weights["wide"]
    assert costs["fast"] == {"images_per_s": 300.0, "seconds_per_epoch": 160.0, "seconds": 1280.0, "host": "host"}
    assert set(costs["seed"].values()) == {None}


def test_it_has_an_etag(http):
    answer = http.get("/v1/presets")
    assert answer.headers["Content-Type"] == "application/json"
    same = http.get("/v1/presets", headers={"If-None-Match": answer.headers["ETag"]})
    assert same.status_code == 304 and same.content == b"" and same.headers["ETag"] == answer.headers["ETag"]
    assert http.get("/v1/presets", headers={"If-None-Match": '"other"'}).status_code == 200


def test_unknown_queries_methods_and_paths_are_refused(http):
    unknown = problem(http.get("/v1/presets", params={"limit": 5}), 422)
    assert [error["pointer"] for error in unknown["errors"]] == ["limit"]
    problem(http.post("/v1/presets", json={}), 405)
    problem(http.get("/v1/presets/fast"), 404)
