"""The parameters of a training: how they are described, and which values are accepted."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest
from shared.training.params import MAX_FAULTS, parse, schemas
from shared.training.presets import COMMON, PARAMS, FastParams, Params, SeedParams


def refused(given_: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        parse(given_)
    return {fault.pointer: fault.detail for fault in caught.value.faults}


@pytest.mark.parametrize("model", PARAMS.values(), ids=PARAMS)
def test_every_parameter_is_described_with_its_default_and_range(model: type[Params]) -> None:
    described = json.loads(json.dumps(schemas(model)))
    assert described.keys() == model.model_fields.keys()
    for name, parameter in described.items():
        assert name == "preset" or parameter["description"], name
        if parameter["type"] in ["integer", "number"]:
            assert parameter["minimum"] <= parameter["default"] <= parameter["maximum"], name
            assert "unit" in parameter, name
        elif "enum" in parameter:
            assert parameter["default"] in parameter["enum"], name
    given_ = {"dataset": "mine"} | {name: each["default"] for name, each in described.items() if "default" in each}
    assert parse(given_) == model(dataset=given_["dataset"])


def test_the_models_name_their_presets() -> None:
    assert [model(dataset="mine").preset for model in PARAMS.values()] == list(PARAMS)


def test_a_dataset_of_an_owner_means_head() -> None:
    assert parse({"dataset": "mine"}).preset == "head"
    assert parse({"dataset": "cifar10+corrections"}).preset == "fast"


@pytest.mark.parametrize("preset", ["head", "finetune"])
def test_what_starts_from_a_backbone_can_name_it(preset: str) -> None:
    given_ = {"preset": preset, "dataset": "mine"}
    assert [parse(given_).backbone, parse(given_ | {"backbone": "lite2"}).backbone] == ["everyday", "lite2"]
    wrong = refused(given_ | {"backbone": "../lite2"})
    assert wrong == {"/params/backbone": 'should be a name of the characters a-z 0-9 _ -, not "../lite2"'}


@pytest.mark.parametrize("preset", ["head", "finetune"])
def test_what_starts_from_the_backbone_needs_a_dataset(preset: str) -> None:
    assert refused({"preset": preset}) == {"/params/dataset": "is needed"}


def test_a_description() -> None:
    assert schemas(FastParams)["batch_size"] == {
        "default": 1536,
        "type": "integer",
        "minimum": 1,
        "maximum": 10_000,
        "unit": "images",
        "description": "images per gradient step",
    }
    assert schemas(FastParams)["base"]["type"] == ["string", "null"]


def test_defaults_fill_in_what_is_not_given() -> None:
    assert parse({}) == FastParams()
    assert parse({"preset": "seed", "hidden_units": 5}) == SeedParams(hidden_units=5)
    changed = parse({"epochs": 3.0, "base": "fast-20261123-8919be04", "learning_rate": 1, "seed": 2**32 - 1})
    assert (changed.epochs, changed.learning_rate, changed.promote) == (3, 1.0, "never")
    assert [type(value) for value in (changed.epochs, changed.learning_rate)] == [int, float]
    assert parse(json.loads(json.dumps(changed.model_dump()))) == changed


def test_a_card_records_hyperparameters_only() -> None:
    assert SeedParams().hyperparameters().keys() == SeedParams.model_fields.keys() - {"preset", "seed", *COMMON}


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("preset", "sead", 'should be one of seed, classic, fast, wide, distil, head, finetune, not "sead"'),
        ("preset", None, "should be one of seed, classic, fast, wide, distil, head, finetune, not null"),
        ("preset", ["fast"], 'should be one of seed, classic, fast, wide, distil, head, finetune, not ["fast"]'),
        (
            "dataset",
            "My pictures",
            'should be cifar10, cifar10+corrections, or the name of a dataset: 1 to 64 of a-z 0-9 -, not "My pictures"',
        ),
        ("promote", True, "should be one of never, if_better, always, not true"),
        ("base", "../x", 'should be a name of the characters a-z 0-9 _ -, or null, not "../x"'),
        ("base", "x\n", 'should be a name of the characters a-z 0-9 _ -, or null, not "x\\n"'),
        ("base", 5, "should be a name of the characters a-z 0-9 _ -, or null, not 5"),
        ("backbone", "lite2", "is not a parameter of preset fast"),
        ("epochs", 0, "should be a whole number from 1 to 1000, not 0"),
        ("epochs", 1001, "should be a whole number from 1 to 1000, not 1001"),
        ("epochs", 1.5, "should be a whole number from 1 to 1000, not 1.5"),
        ("epochs", True, "should be a whole number from 1 to 1000, not true"),
        ("epochs", "8", 'should be a whole number from 1 to 1000, not "8"'),
        ("epochs", None, "should be a whole number from 1 to 1000, not null"),
        pytest.param("epochs", 10**4000, f"should be a whole number from 1 to 1000, not 1{58 * '0'}…", id="huge"),
        ("learning_rate", math.nan, "should be a number from 1e-06 to 10, not NaN"),
        ("learning_rate", math.inf, "should be a number from 1e-06 to 10, not Infinity"),
        ("learning_rate", False, "should be a number from 1e-06 to 10, not false"),
        ("label_smoothing", 1, "should be a number from 0 to 0.9, not 1"),
        ("augment", 1, "should be true or false, not 1"),
        ("flip", {}, "should be one of none, random, alternate, not {}"),
        ("seed", 2**32, "should be a whole number from 0 to 4294967295, not 4294967296"),
        ("hidden_units", 5, "is not a parameter of preset fast"),
        ("epoch", 5, "is not a parameter of preset fast (did you mean epochs?)"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(name: str, value: object, detail: str) -> None:
    assert refused({name: value}) == {f"/params/{name}": detail}


def test_all_faults_are_named_at_once() -> None:
    wrong = {"seed": -1, "promote": "yes", "colour": "red", "epochs": 0}
    with pytest.raises(InvalidRequest) as caught:
        parse(wrong)
    assert {fault.pointer for fault in caught.value.faults} == {f"/params/{name}" for name in wrong}
    assert all(f"{name} " in str(caught.value) for name in wrong)


def test_the_parameters_of_an_unknown_preset_are_not_checked() -> None:
    assert refused({"preset": "sead", "promote": 1, "hidden_units": 0}).keys() == {"/params/preset", "/params/promote"}


def test_of_many_unknown_names_some_are_reported() -> None:
    assert len(refused({f"epochs{number}": 1 for number in range(1000)})) == MAX_FAULTS > len(FastParams.model_fields)


def test_pointers_are_escaped() -> None:
    long = "x" * 1000
    assert refused({"a/b~c": 1, "": 2, long: 3}).keys() == {"/params/a~1b~0c", "/params/", f"/params/{long}"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["seed", "always"]),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=2), values, max_size=2),
    max_leaves=3,
)
names = st.sampled_from(sorted({*FastParams.model_fields, *SeedParams.model_fields})) | st.text(max_size=8)


@given(st.dictionaries(names, json_values, max_size=5))
def test_any_json_is_accepted_or_refused_by_name(given_: dict[str, Any]) -> None:
    try:
        params = parse(given_)
    except InvalidRequest as error:
        assert error.faults
        pointers = {"/params/" + name.replace("~", "~0").replace("/", "~1") for name in given_}
        assert {fault.pointer for fault in error.faults} <= pointers
    else:
        assert params.model_dump() == PARAMS[params.preset](dataset=params.dataset).model_dump() | given_
        json.dumps(params.model_dump(), allow_nan=False)
