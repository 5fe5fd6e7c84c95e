"""Serialization of entities to and from Redis records."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.domain.classifier import CIFAR10
from shared.domain.entities import (
    LOCAL_OWNER,
    Counts,
    Failure,
    Imported,
    ImportOutcome,
    Item,
    ItemState,
    Job,
    JobKind,
    JobState,
    Outcome,
    Prediction,
    Upload,
)

#: Decimal places of a stored score: beyond the precision of a float32 softmax.
SCORE_DECIMALS = 6


def dump(value: Any) -> str:
    """Return compact JSON: Redis keeps 100,000 items per job in memory."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def upload_json(upload: Upload) -> str:
    """Return an upload as JSON, without its key (the name of its field) and its failure."""
    names = ("filename", "size", "sha256", "media_type", "width", "height", "label", "split", "pinned", "pack")
    return dump({name: value for name in names if (value := getattr(upload, name)) is not None})


def outcome_json(outcome: Outcome) -> str:
    """Return an outcome as JSON, without the time, which the script adds by Redis's clock."""
    record: dict[str, Any] = {"state": outcome.state}
    if outcome.predictions:
        record["predictions"] = [[p.index, round(p.score, SCORE_DECIMALS)] for p in outcome.predictions]
    if outcome.failure:
        record["failure"] = failure_record(outcome.failure)
    if outcome.unknown:
        record["unknown"] = True
    if outcome.novelty is not None:
        record["novelty"] = round(outcome.novelty, SCORE_DECIMALS)
    return dump(record)


def failure_record(failure: Failure) -> dict[str, str]:
    """Return a failure as a JSON object."""
    return {"code": failure.code, "detail": failure.detail}


def read_upload(key: str, record: str) -> tuple[Upload, float]:
    """Return the upload in a record `<created_at ms> <JSON>`, and its time in seconds since the epoch."""
    created_ms, body = record.split(" ", 1)
    return Upload(key=key, **json.loads(body)), int(created_ms) / 1000


def finish_position(outcome: str) -> int:
    """Return an item's position in the order of finishing from a record `<position> <at ms> <JSON>`."""
    return int(outcome.split(" ", 1)[0])


def read_outcome(record: str) -> Outcome:
    """Return the outcome in a record `<position> <at ms> <JSON>`."""
    _, at_ms, body = record.split(" ", 2)
    fields = json.loads(body)
    return Outcome(
        state=ItemState(fields["state"]),
        predictions=tuple(Prediction(index, score) for index, score in fields.get("predictions", ())),
        failure=Failure(**fields["failure"]) if "failure" in fields else None,
        at=int(at_ms) / 1000,
        imported=_imported(fields["imported"]) if "imported" in fields else None,
        unknown=fields.get("unknown", False),
        novelty=fields.get("novelty"),
    )


def read_item(key: str, upload: str, outcome: str | None, correction: str | None) -> Item:
    """Return the item with these records; `outcome` and `correction` may be missing."""
    accepted, created_at = read_upload(key, upload)
    ended = read_outcome(outcome) if outcome else None
    return Item(accepted, created_at, ended, None if correction is None else int(correction))


def read_job(job_id: str, record: Mapping[str, str], queue_position: int | None = None) -> Job:
    """Return the job with this hash."""
    kind, state = JobKind(record["kind"]), JobState(record["state"])
    is_published = kind is not JobKind.TRAINING or state is JobState.SUCCEEDED
    return Job(
        id=job_id,
        kind=kind,
        state=state,
        created_at=int(record["created_at"]) / 1000,
        owner=record.get("owner", LOCAL_OWNER),
        request_id=record.get("request_id"),
        classifier=record.get("classifier", CIFAR10.name if kind is JobKind.CLASSIFICATION else None),
        model=record.get("model") if is_published else None,
        dataset=record.get("dataset"),
        params=json.loads(record.get("params", "{}")),
        metadata=json.loads(record.get("metadata", "null")),
        webhook=record.get("webhook"),
        counts=Counts(*(int(record[name]) for name in ("total", "succeeded", "failed", "cancelled"))),
        skipped=int(record.get("skipped", 0)),
        guessed=tuple(record.get("guessed", "").split()),
        sealed=record.get("sealed") == "1",
        revision=int(record["revision"]),
        started_at=_seconds(record.get("started_at")),
        finished_before=int(record.get("finished_before", 0)),
        finished_at=_seconds(record.get("finished_at")),
        expires_at=_seconds(record.get("expires_at")),
        failure=Failure(**json.loads(record["failure"])) if "failure" in record else None,
        queue_position=queue_position,
        step=int(record.get("step", 0)),
        steps=int(record.get("steps", 0)),
        ends_at=_seconds(record.get("ends_at")),
        promotion=json.loads(record["promotion"]) if "promotion" in record else None,
    )


def _imported(fields: dict[str, Any]) -> Imported:
    return Imported(ImportOutcome(fields["outcome"]), int(fields["picture"]), fields.get("label"))


def _seconds(milliseconds: str | None) -> float | None:
    return int(milliseconds) / 1000 if milliseconds else None
