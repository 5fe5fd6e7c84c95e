"""The catalogue: what is announced comes back, and what a training is asked for is checked against it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.stack.embedded_redis import free_port
from shared.domain.errors import Fault, InvalidRequest, Unavailable
from shared.redis import keys
from shared.redis.connection import connect
from shared.training.param_schema import MAX_FAULTS, Choice, Flag, Integer, Name, Number, Parameter, Spec, from_dict
from shared.training.preset_catalog import COMMON, TRAIN_IMAGES, Catalogue, Cost, PresetInfo, resolve

SPECS: list[Spec] = [
    Flag("yes or no"),
    Number("a rate", 1e-6, 10),
    Number("a length", 0.0, 2.5, "metres"),
    Integer("a count", 1, 1000),
    Integer("a size", 1, 10_000, "images"),
    Choice("a word", ("none", "random")),
    Name("a version"),
]
FAST = {
    "epochs": Parameter(8, Integer("passes", 1, 1000)),
    "learning_rate": Parameter(0.24, Number("step size", 1e-6, 10)),
    "augment": Parameter(True, Flag("whether images are varied")),
    "flip": Parameter("none", Choice("mirroring", ("none", "random"))),
    "seed": Parameter(0, Integer("same seed, same weights", 0, 2**32 - 1)),
}
SEED = {
    "epochs": Parameter(3, Integer("passes", 1, 1000)),
    "hidden_units": Parameter(64, Integer("units", 1, 4096)),
    "seed": FAST["seed"],
}
PRESETS = {"seed": SEED, "fast": FAST}
DEFAULTS = {"preset": "fast", "dataset": "cifar10", "promote": "never", "base": None} | {
    name: parameter.default for name, parameter in FAST.items()
}
COST = Cost(parameters=1000, flops_per_image=2000, images_per_s=300.0, host="here")
INFOS = [PresetInfo(name, f"preset {name}", parameters, COST) for name, parameters in PRESETS.items()]


def refused(given_: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        resolve(PRESETS, given_)
    return details(caught.value.faults)


def details(faults: Iterable[Fault]) -> dict[str, str]:
    return {fault.pointer: fault.detail for fault in faults}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.about)
def test_a_spec_comes_back_from_json(spec: Spec) -> None:
    back = from_dict(json.loads(json.dumps(spec.as_dict())))
    assert back == spec and type(back) is type(spec)


def test_nothing_is_announced_at_first(each_redis) -> None:
    catalogue = Catalogue(each_redis)
    assert not catalogue.announced()
    for call in (catalogue.presets, lambda: catalogue.resolve({})):
        with pytest.raises(Unavailable, match="no training worker has said yet what it can train"):
            call()


def test_what_is_announced_is_listed_and_replaces_what_was(each_redis) -> None:
    catalogue = Catalogue(each_redis)
    catalogue.announce([])
    catalogue.announce(INFOS)
    assert catalogue.announced()
    assert Catalogue(each_redis).presets() == INFOS
    assert catalogue.resolve({"preset": "seed", "epochs": 1})["hidden_units"] == 64


def test_an_announcement_of_another_form_counts_as_none(each_redis) -> None:
    catalogue = Catalogue(each_redis)
    catalogue.announce(INFOS)
    each_redis.set(keys.PRESETS, json.dumps({**json.loads(each_redis.get(keys.PRESETS)), "schema": 0}))
    assert not catalogue.announced()
    with pytest.raises(Unavailable):
        catalogue.presets()


def test_a_measured_speed_counts_also_after_the_next_announcement(each_redis) -> None:
    catalogue = Catalogue(each_redis)
    catalogue.announce(INFOS)
    catalogue.measured("fast", "there", 100.0)
    catalogue.measured("fast", "elsewhere", 150.0)
    catalogue.announce(INFOS)
    seed, fast = catalogue.presets()
    assert seed.cost == COST
    assert fast.cost == Cost(1000, 2000, 150.0, "elsewhere", "measured")
    assert fast.cost.seconds_per_epoch == TRAIN_IMAGES / 150


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf])
def test_what_is_no_speed_is_not_recorded(each_redis, speed: float) -> None:
    catalogue = Catalogue(each_redis)
    catalogue.announce(INFOS)
    catalogue.measured("fast", "there", speed)
    assert catalogue.presets() == INFOS


def test_without_redis_every_call_says_so() -> None:
    catalogue = Catalogue(connect(f"redis://127.0.0.1:{free_port()}/0"))
    calls = {
        "announce": lambda: catalogue.announce(INFOS),
        "announced": catalogue.announced,
        "measured": lambda: catalogue.measured("fast", "here", 1.0),
        "presets": catalogue.presets,
        "resolve": lambda: catalogue.resolve({}),
    }
    assert calls.keys() == {name for name in vars(Catalogue) if not name.startswith("_")}
    for call in calls.values():
        with pytest.raises(Unavailable, match="Redis"):
            call()


def test_what_is_not_given_is_the_default() -> None:
    assert resolve(PRESETS, {}) == DEFAULTS
    assert list(resolve(PRESETS, {})) == list(DEFAULTS)
    changed = {"epochs": 3.0, "promote": "if_better", "base": "fast-20261123-8919be04", "learning_rate": 1}
    resolved = resolve(PRESETS, changed)
    assert resolved == DEFAULTS | changed
    assert [type(resolved[name]) for name in ("epochs", "learning_rate")] == [int, float]
    assert resolve(PRESETS, resolved) == resolved


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("preset", "sead", 'should be one of seed, fast, not "sead"'),
        ("preset", None, "should be one of seed, fast, not null"),
        ("preset", ["fast"], 'should be one of seed, fast, not ["fast"]'),
        ("dataset", "cifar100", 'should be one of cifar10, cifar10+corrections, not "cifar100"'),
        ("promote", True, "should be one of never, if_better, always, not true"),
        ("base", "../x", 'should be a name of the characters a-z 0-9 _ -, or null, not "../x"'),
        ("base", "x\n", 'should be a name of the characters a-z 0-9 _ -, or null, not "x\\n"'),
        ("base", 5, "should be a name of the characters a-z 0-9 _ -, or null, not 5"),
        ("epochs", 0, "should be a whole number from 1 to 1000, not 0"),
        ("epochs", 1001, "should be a whole number from 1 to 1000, not 1001"),
        ("epochs", 1.5, "should be a whole number from 1 to 1000, not 1.5"),
        ("epochs", True, "should be a whole number from 1 to 1000, not true"),
        ("epochs", "8", 'should be a whole number from 1 to 1000, not "8"'),
        ("epochs", None, "should be a whole number from 1 to 1000, not null"),
        pytest.param("epochs", 10**4000, f"should be a whole number from 1 to 1000, not 1{58 * '0'}…", id="huge"),
        ("learning_rate", math.nan, "should be a number from 1e-06 to 10, not NaN"),
        ("augment", 1, "should be true or false, not 1"),
        ("flip", {}, "should be one of none, random, not {}"),
        ("seed", 2**32, "should be a whole number from 0 to 4294967295, not 4294967296"),
        ("hidden_units", 5, "is no parameter of preset fast"),
        ("epoch", 5, "is no parameter of preset fast (did you mean epochs?)"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(name: str, value: object, detail: str) -> None:
    assert refused({name: value}) == {f"/params/{name}": detail}


def test_all_faults_are_named_at_once() -> None:
    wrong = {"seed": -1, "promote": "yes", "colour": "red", "epochs": 0}
    with pytest.raises(
        InvalidRequest, match=r"promote should .*; seed should .*; colour is no .*; epochs .*\.$"
    ) as caught:
        resolve(PRESETS, wrong)
    assert details(caught.value.faults).keys() == {f"/params/{name}" for name in wrong}


def test_where_the_preset_is_wrong_its_parameters_are_not_judged() -> None:
    assert refused({"preset": "sead", "promote": 1, "hidden_units": 0}).keys() == {"/params/preset", "/params/promote"}


def test_a_default_preset_that_nobody_has_announced_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve({"seed": SEED}, {})
    assert details(caught.value.faults) == {"/params/preset": 'should be one of seed, not "fast"'}


def test_a_flood_of_unknown_names_is_answered_in_part() -> None:
    assert len(refused({f"epochs{number}": 1 for number in range(1000)})) == MAX_FAULTS > len(FAST)


def test_a_pointer_leads_to_the_parameter_whatever_its_name_is() -> None:
    long = "x" * 1000
    assert refused({"a/b~c": 1, "": 2, long: 3}).keys() == {"/params/a~1b~0c", "/params/", f"/params/{long}"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["seed", "always"]),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=2), values, max_size=2),
    max_leaves=3,
)
names = st.sampled_from(["preset", *COMMON, *FAST, *SEED]) | st.text(max_size=8)


@given(st.dictionaries(names, json_values, max_size=5))
def test_whatever_json_carries_is_taken_or_refused_by_name(given_: dict[str, Any]) -> None:
    try:
        resolved = resolve(PRESETS, given_)
    except InvalidRequest as error:
        assert error.faults
        pointers = {"/params/" + name.replace("~", "~0").replace("/", "~1") for name in given_}
        assert details(error.faults).keys() <= pointers
    else:
        preset = PRESETS[resolved["preset"]]
        assert list(resolved) == ["preset", *COMMON, *preset]
        defaults = {name: parameter.default for name, parameter in {**COMMON, **preset}.items()}
        assert resolved == {"preset": "fast"} | defaults | given_
        json.dumps(resolved, allow_nan=False)
