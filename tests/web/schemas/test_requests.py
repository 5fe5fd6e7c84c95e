"""The `Prefer` header, and JSON that can be stored."""

from __future__ import annotations

import json

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest, MalformedRequest
from web.schemas.requests import (
    MAX_JSON_DEPTH,
    MAX_WAIT_S,
    StatusQuery,
    SubmitQuery,
    checked,
    json_value,
    preferred_wait_s,
)

APP = Flask(__name__)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=5", 5), ("wait=0", 0), ("WAIT = 7", 7), ('wait="9"', 9), ("wait=999", MAX_WAIT_S),
        ("respond-async, wait=10", 10), ("respond-async; x=1, wait=4; y", 4), ("wait=3,wait=8", 3), ("", None),
        ("return=minimal", None), ("wait", None), ("wait=", None), ("wait=-1", None), ("wait=x", None),
        ("nowait=5", None), ("wait=9999999999999999999", MAX_WAIT_S),
        ("other; wait=5", None), ('other="a, wait=5"', None), ("other; wait=5, wait=6", 6), ("wait=x, wait=5", None),
    ],
)  # fmt: skip
def test_preferred_wait(header, seconds):
    with APP.test_request_context(headers={"Prefer": header}):
        assert preferred_wait_s(request) == seconds


@given(st.text(st.characters(codec="latin-1", exclude_categories=["Cc"])))
def test_preferred_wait_of_any_header(header):
    with APP.test_request_context(headers={"Prefer": header}):
        seconds = preferred_wait_s(request)
    assert seconds is None or 0 <= seconds <= MAX_WAIT_S


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(json_values)
def test_json_that_can_be_stored(value):
    assert json_value(json.dumps(value).encode(), "it") == value


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}",:1e9\\ud8')).map(str.encode))
def test_json_of_any_bytes(content):
    """It is rejected, or can be written and read again."""
    try:
        value = json_value(content, "it")
    except MalformedRequest:
        return
    assert json.loads(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) == value


def test_json_nested_too_deep():
    for depth, taken in ((MAX_JSON_DEPTH, True), (MAX_JSON_DEPTH + 1, False), (100_000, False)):
        content = b"[" * depth + b"]" * depth
        if taken:
            json_value(content, "it")
        else:
            with pytest.raises(MalformedRequest):
                json_value(content, "it")


@pytest.mark.parametrize(
    ("query", "given_", "detail"),
    [
        (SubmitQuery, {"clasifier": "everyday"}, "is not known; known are: names, webhook, classifier, version"),
        (StatusQuery, {"wait": "soon"}, "must be a number"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_known(query, given_, detail):
    with pytest.raises(InvalidRequest) as refused:
        checked(query, given_)
    ((fault,),) = [refused.value.faults]
    assert (fault.pointer, fault.detail) == (*given_, detail)
