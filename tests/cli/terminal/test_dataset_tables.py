"""The report on a Dataset, as a person reads it."""

from __future__ import annotations

from typing import Any

import pytest

from cli.terminal.dataset_tables import PICTURES, REPORT

DOUBTED = [
    {"id": "12", "label": "kiwi", "suggested": {"label": "lemon", "score": 0.9}},
    {"id": "14", "label": "lemon", "suggested": None},
]
COMPUTED = {"learnt": {"doubted": {"pictures": 2, "listed": DOUBTED}, "curve": [{"accuracy": 0.75, "pictures": 8}]}}


def read(column: str, **report: Any) -> Any:
    return REPORT.columns[column]({"computing": False, "computed": COMPUTED, **report})


def test_a_report_names_doubted_labels_and_what_thin_ones_lack() -> None:
    assert read("DOUBTED LABELS") == "2: 12 (kiwi, or lemon?), 14 (lemon)"
    many = {"learnt": {"doubted": {"pictures": 100, "listed": DOUBTED * 50}}}
    assert read("DOUBTED LABELS", computed=many).endswith("14 (lemon), …")
    assert read("DOUBTED LABELS", computed={"learnt": {"doubted": {"pictures": 0, "listed": []}}}) == "0"
    assert read("DOUBTED LABELS", computed={"learnt": None}) is None
    assert read("ACCURACY") == "0.7500 with 8 pictures"
    older = {"learnt": {**COMPUTED["learnt"], "curve_revision": 3}, "revision": 4}
    assert read("ACCURACY", computed=older) == "0.7500 with 8 pictures (of revision 3)"
    thin = [("kiwi", 3, "too_few"), ("lemon", 12, "few")]
    labels = [dict(zip(("label", "pictures", "problem"), each, strict=True)) for each in thin]
    assert read("THIN LABELS", thin_labels=labels) == "kiwi (3: a training needs 5), lemon (12: fewer than 50)"


@pytest.mark.parametrize(
    ("computing", "computed", "expected"),
    [
        (False, COMPUTED, "yes"),
        (True, COMPUTED, "no: older than your last change; a new one is being computed"),
        (True, None, "no: nothing yet; a new one is being computed"),
    ],
)
def test_a_report_says_whether_it_is_up_to_date(computing: bool, computed: Any, expected: str) -> None:
    assert read("UP TO DATE", computing=computing, computed=computed) == expected


@pytest.mark.parametrize(("doubt", "shown"), [(0.0, None), (0.4, None), (0.6, "lemon"), (None, "lemon")])
def test_a_label_is_suggested_for_pictures_without_one_and_for_doubted_ones(
    doubt: float | None, shown: str | None
) -> None:
    picture = {"doubt": doubt, "suggested": {"label": "lemon", "score": 0.9}}
    assert PICTURES.columns["SUGGESTED"](picture) == shown
