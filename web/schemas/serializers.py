"""Serializers: jobs and items as the JSON of the API (`docs/api.md`)."""

from __future__ import annotations

import math
import time
from typing import cast

from shared.domain.entities import Counts, Failure, Item, Job, JobKind, JobState, Prediction
from shared.domain.times import rfc3339, rfc3339_or_none
from shared.models.registry import Registry
from web.schemas import responses

#: Decimal places of `progress`.
PROGRESS_DECIMALS = 4
#: Longest polling interval in seconds.
MAX_POLL_S = 5


def job_json(job: Job) -> responses.Job:
    """Return the JSON of a Job."""
    api = f"/v1/jobs/{job.id}"
    view: responses.Job = {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "done": job.state.done,
        "created_at": rfc3339(job.created_at),
        "started_at": rfc3339_or_none(job.started_at),
        "finished_at": rfc3339_or_none(job.finished_at),
        "expires_at": rfc3339_or_none(job.expires_at),
        "counts": counts_json(job.counts),
        "skipped": job.skipped,
        "guessed_encodings": list(job.guessed),
        "progress": progress(job),
        "eta_s": eta_s(job, time.time()),
        "queue_position": job.queue_position if job.state is JobState.QUEUED else None,
        "classifier": job.classifier,
        "model": job.model,
        "params": job.params,
        "metadata": job.metadata,
        "webhook": job.webhook,
        "error": failure_json(job.failure),
        "links": {
            "self": api,
            "results": f"{api}/results",
            "cancel": f"{api}/cancel",
            "page": f"/result/{job.id}",
        },
    }
    if job.kind is JobKind.TRAINING:
        view["promotion"] = cast(responses.Promotion | None, job.promotion)
        view["links"] |= {"metrics": f"{api}/metrics", "finish": f"{api}/finish"}
    return view


def counts_json(counts: Counts) -> responses.Counts:
    """Return the JSON of a Job's counts."""
    return {
        "total": counts.total,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    }


def item_json(item: Item, labels: tuple[str, ...], job: Job) -> responses.Item:
    """Return the JSON of an Item. `labels` are those of the job's model, by index."""
    upload, outcome = item.upload, item.outcome
    predictions = outcome.predictions if outcome else ()
    answer: responses.Item = {
        "id": upload.key,
        "key": upload.key,
        "filename": upload.filename,
        "sha256": upload.sha256 or None,
        "bytes": upload.size,
        "width": upload.width,
        "height": upload.height,
        "state": item.state,
        "model": job.model if predictions else None,
        "predictions": [prediction_json(prediction, labels) for prediction in predictions],
        "unknown": item.unknown,
        "novelty": outcome.novelty if outcome else None,
        "corrected_label": None if item.correction is None else labels[item.correction],
        "error": failure_json(outcome.failure if outcome else None),
        "created_at": rfc3339(item.created_at),
        "finished_at": rfc3339_or_none(outcome.at if outcome else None),
    }
    if job.kind is JobKind.IMPORT:
        imported = outcome.imported if outcome else None
        answer["label"] = upload.label
        answer["outcome"] = imported.outcome if imported else None
        answer["picture"] = str(imported.picture) if imported else None
        answer["dataset_label"] = imported.label if imported else None
    return answer


def prediction_json(prediction: Prediction, labels: tuple[str, ...]) -> responses.Prediction:
    """Return the JSON of a Prediction."""
    return {"index": prediction.index, "label": labels[prediction.index], "score": prediction.score}


def failure_json(failure: Failure | None) -> responses.Failure | None:
    """Return the JSON of a Failure."""
    return None if failure is None else {"code": failure.code, "detail": failure.detail}


def labels_of(job: Job, registry: Registry) -> tuple[str, ...]:
    """Return the labels of the job's model, by index. Raise NotFound if the registry does not have the model."""
    return registry.card(job.model).labels if job.model and job.kind is not JobKind.IMPORT else ()


def progress(job: Job) -> float:
    """Return the share of finished items, or of completed training steps, in [0, 1]."""
    if job.state.done:
        return 1.0
    if job.steps:
        return round(job.step / job.steps, PROGRESS_DECIMALS)
    counts = job.counts
    return round(counts.finished / counts.total, PROGRESS_DECIMALS) if counts.total else 0.0


def eta_s(job: Job, now: float) -> int | None:
    """Return the seconds until the job finishes, at the rate so far; None if that is unknown or the job is done."""
    if job.state.done:
        return None
    if job.ends_at is not None:
        return math.ceil(max(0.0, job.ends_at - now)) if job.state is JobState.RUNNING else None
    finished = job.counts.finished - job.finished_before
    if job.started_at is None or finished <= 0 or not job.sealed:
        return None
    return math.ceil(max(0.0, now - job.started_at) * remaining(job.counts) / finished)


def poll_s(job: Job, now: float) -> int:
    """Return the polling interval in seconds: half of the time left, so that polling costs large jobs little."""
    return min(MAX_POLL_S, max(1, (eta_s(job, now) or 0) // 2))


def remaining(counts: Counts) -> int:
    """Return the number of unfinished items."""
    return counts.total - counts.finished
