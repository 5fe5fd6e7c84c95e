"""The names of the job store's keys; `scripts/prelude.lua` has the same ones."""

from __future__ import annotations

#: Sorted set: listed jobs by the time they were created (ms).
JOBS = "darkroom:jobs"
#: Sorted set: jobs by the time they are given up (open) or deleted (done), in ms.
EXPIRING = "darkroom:expiring"
#: Sorted set: jobs whose bytes are being removed.
REMOVING = "darkroom:removing"
#: Sorted set: chunks by the time their lease runs out (ms).
LEASES = "darkroom:leases"
#: Hash: worker process → JSON with its queues, its model and when it was last seen.
WORKERS = "darkroom:workers"
#: Hash: name → how often something rare happened.
COUNTERS = "darkroom:counters"
#: Lists: jobs with waiting items, in turn.
READY = {"interactive": "darkroom:ready:interactive", "bulk": "darkroom:ready:bulk"}


def job(job_id: str, part: str | None = None) -> str:
    """A job's record (no part), or one of its collections: items, keys, pending, finished, outcomes, scores…"""
    return f"darkroom:job:{job_id}:{part}" if part else f"darkroom:job:{job_id}"
