"""Example responses, built with the same serializers as real ones."""

from __future__ import annotations

from typing import Any

from shared.domain.entities import Counts, Item, ItemState, Job, JobKind, JobState, Outcome, Prediction, Upload
from web.schemas.serializers import item_json, job_json

#: 2026-01-31T09:30:00Z, in seconds since the epoch.
AT = 1769851800.0
MODEL, LABELS = "fast-20260130-0a1b2c3d", ("airplane", "automobile", "bird", "cat")
JOB = Job(
    id="9d2b0c9a4cb34fb0a3a1f5e0c7d8e9fa",
    kind=JobKind.CLASSIFICATION,
    state=JobState.SUCCEEDED,
    created_at=AT,
    started_at=AT + 0.1,
    finished_at=AT + 0.4,
    expires_at=AT + 7 * 24 * 3600,
    model=MODEL,
    metadata={"album": "Summer"},
    counts=Counts(total=2, succeeded=2),
    sealed=True,
)
ITEM = Item(
    Upload("000001", "tom.png", 2391, "3f" * 32, "image/png", width=32, height=32),
    AT,
    Outcome(ItemState.SUCCEEDED, (Prediction(3, 0.981204), Prediction(2, 0.011873)), at=AT + 0.3),
)


def examples() -> dict[str, Any]:
    """Return the examples by the name of their schema."""
    return {"Job": job_json(JOB), "Item": item_json(ITEM, LABELS, JOB)}
