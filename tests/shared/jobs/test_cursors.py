"""Cursors are opaque; any other text is an invalid request."""

import base64
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest
from shared.jobs.cursors import MAX_NUMBER, MAX_TEXT, decode_cursor, encode_cursor
from tests.shared.kit import Kit, uploads

ORDERS = st.sampled_from(["place", "score", "item", "job"])
ANY_TEXT = st.text(st.characters(exclude_categories=()))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)


def packed(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Return a real cursor with one character removed, inserted or changed."""
    cursor = encode_cursor(draw(ORDERS), draw(st.one_of(st.integers(0, 99), st.just("k1"), st.just("123 abc"))))
    at = draw(st.integers(0, len(cursor)))
    middle = draw(st.one_of(st.just(""), st.characters(), st.sampled_from("AZaz09-_=+/")))
    return cursor[:at] + middle + cursor[at + draw(st.integers(0, 1)) :]


CURSORS = st.one_of(
    ANY_TEXT,
    mutated(),
    st.builds(packed, st.binary()),
    st.builds(lambda value: packed(json.dumps(value).encode()), JSON),
    st.builds(lambda order, value: packed(json.dumps([order, value]).encode()), ORDERS, JSON),
    st.builds(lambda order, number: packed(f'["{order}",{number}]'.encode()), ORDERS, st.integers(-1, 10**20)),
    st.just(packed(b"[" * 100_000)),
)


@given(ORDERS, st.integers(0, MAX_NUMBER - 1))
def test_numbers_round_trip(order: str, position: int) -> None:
    assert decode_cursor(order, encode_cursor(order, position), int) == position


@given(ORDERS, st.text(st.characters(codec="ascii"), max_size=MAX_TEXT))
def test_keys_round_trip(order: str, position: str) -> None:
    assert decode_cursor(order, encode_cursor(order, position), str) == position


@given(ORDERS, st.one_of(st.integers(), st.text()))
def test_cursors_are_url_safe(order: str, position: int | str) -> None:
    cursor = encode_cursor(order, position)
    assert cursor.isascii()
    assert cursor.replace("-", "").replace("_", "").isalnum()


@settings(max_examples=500)
@given(ORDERS, CURSORS, st.sampled_from([int, str]))
def test_other_texts_are_invalid_requests_about_after(order: str, cursor: str, kind: type) -> None:
    try:
        position = decode_cursor(order, cursor, kind)
    except InvalidRequest as error:
        assert error.faults[0].pointer == "after"
    else:
        assert type(position) is kind


def test_malformed_cursors_do_not_break_a_list(kit: Kit) -> None:
    job = kit.sealed_job(uploads(3))
    kit.work_off()
    reads = [kit.results.finished, kit.results.least_confident, kit.results.items, kit.results.item_keys]

    @settings(max_examples=150)
    @given(st.sampled_from(reads), CURSORS)
    def check(read, cursor: str) -> None:
        try:
            read(job, 2, cursor)
        except InvalidRequest as error:
            assert error.faults[0].pointer == "after"

    check()
