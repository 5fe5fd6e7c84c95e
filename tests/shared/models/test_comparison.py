import json
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Conflict, InvalidRequest
from shared.models.comparison import (
    RULES,
    compare,
    decide,
    mcnemar,
    pack_indices,
    paired_interval,
    unpack_indices,
    wilson,
)

LABELS = ("cat", "dog", "eel")
COUNTS = st.integers(0, 3000)
ANSWERS = st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=80).map(
    lambda rows: tuple(bytes(column) for column in zip(*rows, strict=True))
)


@pytest.mark.parametrize(
    ("cells", "interval"),
    [
        # Complete response to a therapy (Cavo et al. 2012), and airway hyper-responsiveness (Bentur et al.
        # 2009), as Fagerland, Lydersen and Laake work them out: Statistical Analysis of Contingency Tables, chapter 8.
        ((59, 6, 16, 80), (0.0046, 0.1186)),
        ((1, 1, 7, 12), (0.026, 0.507)),
    ],
)
def test_the_interval_matches_the_literature(cells: tuple[int, int, int, int], interval: tuple[float, float]) -> None:
    assert paired_interval(*cells) == pytest.approx(interval, abs=0.0005)


@pytest.mark.parametrize(("cells", "p"), [((6, 16), 0.0525), ((1, 7), 0.0703)])
def test_the_exact_test_matches_the_literature(cells: tuple[int, int], p: float) -> None:
    """The same two examples."""
    assert mcnemar(*cells) == pytest.approx(p, abs=0.0001)


def test_wilsons_interval_matches_the_literature() -> None:
    """81 of 263, the first example in R. G. Newcombe, Statistics in Medicine 17, 1998, pages 857–872, method 3."""
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=0.0001)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_p_value_is_twice_a_binomial_tail(one: int, other: int) -> None:
    tail = sum(comb(one + other, k) for k in range(min(one, other) + 1)) / 2 ** (one + other)
    assert mcnemar(one, other) == mcnemar(other, one) == pytest.approx(min(1, 2 * tail))


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_p_value_is_a_probability(one: int, other: int) -> None:
    assert 0 <= mcnemar(one, other) <= 1


@given(COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_interval_contains_the_difference_and_is_antisymmetric(a: int, b: int, c: int, d: int) -> None:
    if a + b + c + d == 0:
        return
    low, high = paired_interval(a, b, c, d)
    assert -1 <= low <= (c - b) / (a + b + c + d) <= high <= 1
    assert paired_interval(a, c, b, d) == pytest.approx((-high, -low))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_more_images_make_the_interval_narrower(a: int, b: int, c: int, d: int) -> None:
    (low, high), (nearer_low, nearer_high) = paired_interval(a, b, c, d), paired_interval(9 * a, 9 * b, 9 * c, 9 * d)
    assert nearer_high - nearer_low < high - low


def test_a_comparison_by_hand() -> None:
    truth = bytes([0, 0, 0, 0, 1, 1, 1, 1])
    first = bytes([0, 0, 0, 1, 1, 1, 0, 0])
    second = bytes([0, 0, 1, 0, 1, 1, 1, 2])
    result = compare(truth, first, second, LABELS)
    assert (result.images, result.only_first, result.only_second) == (8, 1, 2)
    assert (result.accuracy, result.difference) == ((5 / 8, 6 / 8), 1 / 8)
    assert (result.interval, result.p_value) == (paired_interval(4, 1, 2, 1), 1.0)
    recalls = [(row.label, row.first, row.second, row.difference) for row in result.per_class]
    assert recalls == [("cat", 0.75, 0.75, 0), ("dog", 0.5, 0.75, 0.25), ("eel", 0, 0, 0)]
    assert result.verdict == "inconclusive"
    assert result.summary.startswith("Neither is better: +12.50 points of accuracy, 95 % interval −")
    assert result.summary.endswith("on 8 test images.")


@given(ANSWERS)
def test_swapping_the_models_swaps_the_result(columns: tuple[bytes, bytes, bytes]) -> None:
    truth, first, second = columns
    one, other = compare(truth, first, second, LABELS), compare(truth, second, first, LABELS)
    opposite = {"better": "worse", "worse": "better", "inconclusive": "inconclusive"}
    assert (other.difference, other.accuracy) == (-one.difference, one.accuracy[::-1])
    assert (other.only_first, other.only_second, other.p_value) == (one.only_second, one.only_first, one.p_value)
    assert other.verdict == opposite[one.verdict]
    assert [row.difference for row in other.per_class] == [-row.difference for row in one.per_class]


@given(ANSWERS)
def test_a_model_is_not_better_than_itself(columns: tuple[bytes, bytes, bytes]) -> None:
    truth, answers, _ = columns
    result = compare(truth, answers, answers, LABELS)
    assert (result.verdict, result.p_value, result.difference) == ("inconclusive", 1, 0)
    assert not decide("if_better", result).promoted


def test_the_result_is_complete_json() -> None:
    result = compare(b"\x00\x01", b"\x00\x00", b"\x00\x01", LABELS)
    sent = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert sent["accuracy"] == [0.5, 1.0]
    assert sent["interval"] == list(result.interval)
    assert sent["per_class"][1] == {"label": "dog", "first": 0.0, "second": 1.0, "difference": 1.0}
    assert (sent["verdict"], sent["summary"]) == (result.verdict, result.summary)


@pytest.mark.parametrize("columns", [(b"", b"", b""), (b"\x00", b"\x00\x01", b"\x00"), (b"\x00", b"\x00", b"")])
def test_different_numbers_of_images_are_a_conflict(columns: tuple[bytes, bytes, bytes]) -> None:
    with pytest.raises(Conflict, match="same test images"):
        compare(*columns, LABELS)


TRUTH = bytes([0, 1, 2] * 1000)


def answers(*wrong: int) -> bytes:
    """Return predictions for TRUTH with this many errors in each class."""
    left = list(wrong)

    def answer(label: int) -> int:
        left[label] -= 1
        return label if left[label] < 0 else (label + 1) % 3

    return bytes(map(answer, TRUTH))


def test_a_better_model_is_promoted() -> None:
    decision = decide("if_better", compare(TRUTH, answers(100, 100, 100), answers(60, 60, 100), LABELS))
    assert decision.promoted
    assert decision.reason.startswith("better: +2.67 points of accuracy, 95 % interval +")


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ((100, 100, 100), "inconclusive: the champion stays (+0.00 points of accuracy, 95 % interval "),
        ((99, 100, 100), "inconclusive: the champion stays (+0.03 points of accuracy, 95 % interval −"),
        ((200, 100, 100), "worse: the champion stays (−3.33 points of accuracy, 95 % interval −"),
        ((0, 0, 131), "eel loses 3.10 points of recall, more than 3: the champion stays (+5.63 points of accuracy"),
    ],
)
def test_a_model_that_is_not_better_is_not_promoted(second: tuple[int, int, int], reason: str) -> None:
    decision = decide("if_better", compare(TRUTH, answers(100, 100, 100), answers(*second), LABELS))
    assert not decision.promoted
    assert decision.reason.startswith(reason)


def test_a_loss_of_exactly_three_points_is_allowed() -> None:
    assert decide("if_better", compare(TRUTH, answers(100, 100, 50), answers(0, 0, 80), LABELS)).promoted


def test_never_and_always_ignore_the_comparison() -> None:
    better = compare(TRUTH, answers(900, 900, 900), answers(0, 0, 0), LABELS)
    worse = compare(TRUTH, answers(0, 0, 0), answers(900, 900, 900), LABELS)
    assert [decide(rule, better).promoted for rule in RULES] == [False, True, True]
    assert [decide(rule, worse).promoted for rule in RULES] == [False, False, True]


def test_an_unknown_rule_is_invalid() -> None:
    with pytest.raises(InvalidRequest, match=r"'sometimes'.*never, if_better, always"):
        decide("sometimes", compare(b"\x00", b"\x00", b"\x00", LABELS))


@pytest.mark.parametrize("labels", [2, 256, 257, 2000])
def test_indices_of_labels_survive_as_bytes(labels: int) -> None:
    indices = [0, labels - 1, 1, labels // 2]
    assert list(unpack_indices(pack_indices(indices, labels), labels)) == indices
