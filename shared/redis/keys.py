"""The names of the job store's keys; `scripts/prelude.lua` has the same ones."""

from __future__ import annotations

#: Sorted set: listed jobs by the time they were created (ms). Each owner has one of their own too, see `jobs_of`.
JOBS = "darkroom:jobs"
#: Sorted set: jobs by the time they are given up (open) or deleted (done), in ms.
EXPIRING = "darkroom:expiring"
#: Sorted set: jobs whose bytes are being removed.
REMOVING = "darkroom:removing"
#: Sorted set: jobs with corrected items by the time of the last correction (ms). See `shared/jobs/corrections.py`.
CORRECTED = "darkroom:corrected"
#: Sorted set: chunks by the time their lease runs out (ms).
LEASES = "darkroom:leases"
#: Hash: worker process → JSON with its queues, its model and when it was last seen.
WORKERS = "darkroom:workers"
#: Hash: what happened → how often; hash: stage and bucket → how many chunks took so long. See `shared/jobs/metrics.py`.
COUNTERS, STAGES = "darkroom:counters", "darkroom:stages"
#: Hash: the version that serves new jobs, where one was chosen; see `shared/models/champion.py`.
CHAMPION = "darkroom:champion"
#: Hash: preset → JSON with the speed of its last training, and the machine that it ran on.
SPEEDS = "darkroom:speeds"
#: Hash: name of an API key → JSON with its digest, owner and scopes; string: what session cookies are signed with.
#: See `shared/access/key_store.py`.
API_KEYS, SECRET = "darkroom:api-keys", "darkroom:secret"
#: List: models to be imported; sorted set: their uploads by the time they are removed (ms).
#: See `shared/models/import_queue.py`.
IMPORTS, UPLOADS = "darkroom:imports", "darkroom:imports:uploads"
#: Hash: owner → JSON with the secret that its webhooks are signed with; see `shared/webhooks/signing_secrets.py`.
WEBHOOK_SECRETS = "darkroom:webhook-secrets"
#: Sorted set: receivers of webhooks by the time the first of their deliveries is due (ms).
RECEIVERS = "darkroom:receivers"
#: Sorted sets: jobs with waiting items, by the round in which their turn is.
READY = {
    "interactive": "darkroom:ring:interactive",
    "bulk": "darkroom:ring:bulk",
    "train": "darkroom:ring:train",
}


def jobs_of(owner: str | None) -> str:
    """The listed jobs of an owner, or of all."""
    return JOBS if owner is None else f"{JOBS}:{owner}"


def job(job_id: str, part: str | None = None) -> str:
    """A job's record (no part), or one of its collections: items, keys, pending, finished, outcomes, scores…"""
    return f"darkroom:job:{job_id}:{part}" if part else f"darkroom:job:{job_id}"


def chunk(chunk_id: str) -> str:
    """A chunk or a training in a worker's hands: its job, the worker, its items."""
    return f"darkroom:chunk:{chunk_id}"


def done(queue: str, minute: int) -> str:
    """How many items of a queue ended in a minute (since the epoch), for an hour."""
    return f"darkroom:done:{queue}:{minute}"


def committed(chunk_id: str) -> str:
    """There for a minute after the chunk was committed."""
    return f"darkroom:committed:{chunk_id}"


def idempotency(digest: str) -> str:
    """What the request with this key (its digest) was answered; see `shared/access/idempotency.py`."""
    return f"darkroom:idempotency:{digest}"


def imported(import_id: str) -> str:
    """How an import ended; empty while it goes on."""
    return f"darkroom:import:{import_id}"


def delivery(delivery_id: str, part: str | None = None) -> str:
    """A delivery's record (no part), or its `attempts`."""
    return f"darkroom:delivery:{delivery_id}:{part}" if part else f"darkroom:delivery:{delivery_id}"


def deliveries(receiver: str) -> str:
    """The deliveries that wait for a receiver, by the time they are due (ms)."""
    return f"darkroom:deliveries:{receiver}"
