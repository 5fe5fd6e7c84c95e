"""The body and headers of a webhook call, by Standard Webhooks (https://www.standardwebhooks.com)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from standardwebhooks import Webhook

from shared.domain.entities import Job
from shared.domain.times import rfc3339_or_none
from shared.jobs.records import dump, failure_record


def body(job: Job) -> str:
    """Return the JSON body about a finished job. `job` is as it ended, so the body is the same at each attempt."""
    return dump({"type": f"job.{job.state}", "timestamp": rfc3339_or_none(job.finished_at), "data": _data(job)})


def headers(message_id: str, at: datetime, content: str, secrets: Iterable[str]) -> dict[str, str]:
    """Return the id, timestamp and signature headers. `at` is the time of this attempt."""
    at = at.astimezone(UTC)  # the library ignores the time zone
    signatures = [Webhook(secret).sign(message_id, at, content) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _data(job: Job) -> dict[str, object]:
    """Return the fields of the job in the API that are short and final."""
    api, counts = f"/v1/jobs/{job.id}", job.counts
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "created_at": rfc3339_or_none(job.created_at),
        "started_at": rfc3339_or_none(job.started_at),
        "finished_at": rfc3339_or_none(job.finished_at),
        "counts": {name: getattr(counts, name) for name in ("total", "succeeded", "failed", "cancelled")},
        "classifier": job.classifier,
        "model": job.model,
        "error": failure_record(job.failure) if job.failure else None,
        "links": {"self": api, "results": f"{api}/results", "page": f"/result/{job.id}"},
    }
