"""Serializers of jobs and items, without a service."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.entities import Counts, Failure, Item, ItemState, Job, JobKind, JobState, Outcome, Prediction, Upload
from shared.domain.times import rfc3339_or_none
from web.api.exports import _csv_line, _csv_row
from web.schemas.serializers import MAX_POLL_S, eta_s, item_json, job_json, poll_s, progress

JOB = Job("0" * 32, JobKind.CLASSIFICATION, JobState.RUNNING, 1000.0, model="m", sealed=True, started_at=1000.0)
UPLOAD = Upload("k", "a.png", 10, "ab", "image/png", 3, 4)
LABELS = ("cat", "dog")


@pytest.mark.parametrize(
    ("counts", "share"),
    [(Counts(), 0.0), (Counts(4, 1, 1, 0), 0.5), (Counts(3, 1), 0.3333), (Counts(100_000, 99_999), 1.0)],
)
def test_progress(counts, share):
    assert progress(replace(JOB, counts=counts)) == share


def test_progress_of_a_finished_job():
    assert progress(replace(JOB, state=JobState.CANCELLED, counts=Counts(4, 1))) == 1.0
    assert progress(replace(JOB, state=JobState.FAILED)) == 1.0


@pytest.mark.parametrize(
    ("changes", "now", "seconds"),
    [
        ({"counts": Counts(100, 20, 5)}, 1010.0, 30),
        ({"counts": Counts(100, 60, 5), "finished_before": 40}, 1010.0, 14),  # 25 in 10 s
        ({"counts": Counts(100, 40), "finished_before": 40}, 1010.0, None),
        ({"counts": Counts(3, 2)}, 1000.5, 1),  # rounded up: never 0 while items are left
        ({"counts": Counts(3, 0)}, 1010.0, None),
        ({"counts": Counts(3, 1), "sealed": False}, 1010.0, None),
        ({"counts": Counts(3, 1), "started_at": None}, 1010.0, None),
        ({"counts": Counts(3, 3), "state": JobState.SUCCEEDED}, 1010.0, None),
        ({"counts": Counts(3, 1)}, 990.0, 0),  # this machine's clock is behind Redis's
    ],
)
def test_eta(changes, now, seconds):
    assert eta_s(replace(JOB, **changes), now) == seconds


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({"counts": Counts(100)}, 1),  # unknown so far
        ({"counts": Counts(100, 90)}, 1),  # 2 s are left
        ({"counts": Counts(100, 55)}, 4),  # 9 s
        ({"counts": Counts(100_000, 1)}, MAX_POLL_S),
        ({"counts": Counts(100, 100), "state": JobState.SUCCEEDED}, 1),
    ],
)
def test_polling_interval_grows_with_the_time_left(changes, seconds):
    counted = {"counts": Counts(100, 90)} | changes
    assert poll_s(replace(JOB, **counted), 1010.0 if counted["counts"].finished != 90 else 1020.0) == seconds


@given(st.floats(0, 4e9))
def test_timestamp_is_rfc_3339_in_utc(seconds):
    text = rfc3339_or_none(seconds)
    assert text is not None and text.endswith("Z") and len(text) == 24
    assert abs(datetime.fromisoformat(text).timestamp() - seconds) <= 0.001


def test_timestamp_of_nothing():
    assert rfc3339_or_none(None) is None
    assert rfc3339_or_none(0) == "1970-01-01T00:00:00.000Z"


def test_queue_position_only_of_a_queued_job():
    assert job_json(replace(JOB, state=JobState.QUEUED, queue_position=3))["queue_position"] == 3
    assert job_json(replace(JOB, queue_position=3))["queue_position"] is None


def test_error_of_a_failed_job():
    assert job_json(replace(JOB, failure=Failure("code", "Why.")))["error"] == {"code": "code", "detail": "Why."}


def test_item_without_an_outcome():
    view = item_json(Item(UPLOAD, 5.0), LABELS, JOB)
    assert (view["state"], view["model"], view["predictions"], view["error"], view["finished_at"]) == (
        "pending", None, [], None, None,
    )  # fmt: skip


def test_item_with_predictions_names_its_model():
    outcome = Outcome(ItemState.SUCCEEDED, (Prediction(1, 0.75), Prediction(0, 0.25)), at=6.0)
    view = item_json(Item(UPLOAD, 5.0, outcome), LABELS, JOB)
    assert view["model"] == "m" and view["finished_at"] == "1970-01-01T00:00:06.000Z"
    assert view["predictions"] == [
        {"index": 1, "label": "dog", "score": 0.75},
        {"index": 0, "label": "cat", "score": 0.25},
    ]


def test_item_that_was_not_read_has_no_digest():
    failed = Item(replace(UPLOAD, sha256="", media_type=None), 5.0, Outcome(ItemState.FAILED, (), Failure("c", "d")))
    assert item_json(failed, LABELS, JOB)["sha256"] is None


def test_csv_row_has_as_many_cells_with_and_without_predictions():
    few = Outcome(ItemState.SUCCEEDED, (Prediction(1, 1.0),), at=6.0)
    rows = [_csv_row(Item(UPLOAD, 5.0, outcome), LABELS, JOB) for outcome in (None, few)]
    assert len(rows[0]) == len(rows[1])
    assert _csv_line(['a"b', "c,d", "e\nf"]) == '"a""b","c,d","e\nf"\r\n'
