"""Names of the Redis keys. `scripts/prelude.lua` defines the same names for Lua."""

from __future__ import annotations

from shared.domain.classifier import CIFAR10, Classifier

#: Sorted set: listed jobs by creation time (ms). Each owner has one too, see `jobs_of`.
JOBS = "darkroom:jobs"
#: Sorted set: open and finished jobs by the time they expire (ms).
EXPIRING = "darkroom:expiring"
#: Sorted set: removed jobs whose stored bytes are still to be deleted.
REMOVING = "darkroom:removing"
#: Sorted set: jobs with corrections by the time of the last one (ms). See `shared/jobs/corrections.py`.
CORRECTED = "darkroom:corrected"
#: Channel: ids of jobs at their end. See `shared/jobs/ended.py`.
ENDED = "darkroom:ended"
#: Sorted set: workers that wait for a small job without a message, by the time until which they do (ms).
LINGERING = "darkroom:lingering"
#: Sorted set: chunks and trainings by the time their lease expires (ms).
LEASES = "darkroom:leases"
#: String: the id of the storage that is used with this Redis. See `shared/storage/identity.py`.
STORAGE_ID = "darkroom:storage-id"
#: String: the code of the `web` process that started last (JSON). See `shared/code.py`.
CODE = "darkroom:code"
#: Hash: worker process → JSON with its queues, its model and the time of its last heartbeat.
WORKERS = "darkroom:workers"
#: Hash: program that is no worker → the time of its last sign of life (ms). See `shared/jobs/rounds.py`.
ROUNDS = "darkroom:rounds"
#: Hash: event → count; hash: stage and histogram bucket → count. See `shared/jobs/metrics.py`.
COUNTERS, STAGES = "darkroom:counters", "darkroom:stages"
#: Hash: the champion of the default classifier, if one was promoted. See `shared/models/classifiers.py`.
CHAMPION = "darkroom:champion"
#: Sorted set: `<owner>:<classifier>` by the time of its last new job (ms).
CLASSIFIERS_IN_USE = "darkroom:classifiers"
#: Hash: preset → JSON with the speed and the machine of its last training.
SPEEDS = "darkroom:speeds"
#: Hash: name of an API key → JSON with its digest, owner and scopes; string: the key that signs session cookies.
#: See `shared/access/key_store.py`.
API_KEYS, SECRET = "darkroom:api-keys", "darkroom:secret"
#: List: queued model imports; sorted set: their uploads by the time they expire (ms).
#: See `shared/models/import_queue.py`.
IMPORTS, UPLOADS = "darkroom:imports", "darkroom:imports:uploads"
#: Hash: owner → JSON with the signing secret of its webhooks. See `shared/webhooks/signing_secrets.py`.
WEBHOOK_SECRETS = "darkroom:webhook-secrets"
#: Sorted set: webhook receivers by the time their next delivery is due (ms).
RECEIVERS = "darkroom:receivers"
#: Sorted set: datasets with work that a crash may have interrupted, by the time it began (ms). See
#: `shared/datasets/sweep.py`.
UNFINISHED_DATASETS = "darkroom:datasets-unfinished"
#: Sorted sets: datasets whose report, and exports of model versions (`<version>/<format>`), that are waited for, by the
#: time from which a worker may claim them (ms). `<key>:claims` is a hash with their numbers of claims. See
#: `shared/redis/work_queue.py`.
REPORTS, EXPORTS = "darkroom:reports", "darkroom:exports"
#: Sorted set: heatmaps that are waited for, by the time they were asked for (ms). See `shared/jobs/heatmaps.py`.
HEATMAPS = "darkroom:heatmaps"
#: Sorted sets: jobs with pending items, by the round-robin turn in which they are served.
READY = {
    "interactive": "darkroom:ring:interactive",
    "bulk": "darkroom:ring:bulk",
    "train": "darkroom:ring:train",
}


def jobs_of(owner: str | None) -> str:
    """Return the key of an owner's listed jobs, or of all owners'."""
    return JOBS if owner is None else f"{JOBS}:{owner}"


def job(job_id: str, part: str | None = None) -> str:
    """Return the key of a job's record, or of a part: items, keys, pending, finished, outcomes, scores…"""
    return f"darkroom:job:{job_id}:{part}" if part else f"darkroom:job:{job_id}"


def datasets_of(owner: str) -> str:
    """Return the key of an owner's datasets: a hash from name to id."""
    return f"darkroom:datasets:{owner}"


def dataset(dataset_id: str, part: str | None = None) -> str:
    """Return the key of a dataset's record, or of a part: labels, counts, pictures, blocks…"""
    return f"darkroom:dataset:{dataset_id}:{part}" if part else f"darkroom:dataset:{dataset_id}"


def chunk(chunk_id: str) -> str:
    """Return the key of a claimed chunk or training: its job, worker and items."""
    return f"darkroom:chunk:{chunk_id}"


def wake(worker: str) -> str:
    """Return the key of a list with the job for which a worker that lingers was woken."""
    return f"darkroom:wake:{worker}"


def done(queue: str, minute: int) -> str:
    """Return the key of the number of a queue's items that finished in a minute since the epoch; kept for an hour."""
    return f"darkroom:done:{queue}:{minute}"


def committed(chunk_id: str) -> str:
    """Return the key that exists for a minute after a chunk's commit."""
    return f"darkroom:committed:{chunk_id}"


def classifier(wanted: Classifier) -> str:
    """Return the key of a classifier's champion."""
    return CHAMPION if wanted == CIFAR10 else f"darkroom:classifier:{wanted.owner or ''}:{wanted.name}"


def classifiers_of(owner: str) -> str:
    """Return the key of the set of an owner's classifiers, by name."""
    return f"darkroom:classifiers:{owner}"


def idempotency(digest: str) -> str:
    """Return the key of the stored response to an idempotency key, by digest. See `shared/access/idempotency.py`."""
    return f"darkroom:idempotency:{digest}"


def imported(import_id: str) -> str:
    """Return the key of an import's result, which is empty while it runs."""
    return f"darkroom:import:{import_id}"


def heatmap(heatmap_id: str, part: str | None = None) -> str:
    """Return the key that says that a heatmap is being made or has failed, or of its `tries`. They expire."""
    return f"darkroom:heatmap:{heatmap_id}:{part}" if part else f"darkroom:heatmap:{heatmap_id}"


def exported(export_id: str) -> str:
    """Return the key of the reason why an export cannot be made, which expires."""
    return f"darkroom:export:{export_id}"


def delivery(delivery_id: str, part: str | None = None) -> str:
    """Return the key of a delivery's record, or of its `attempts`."""
    return f"darkroom:delivery:{delivery_id}:{part}" if part else f"darkroom:delivery:{delivery_id}"


def deliveries(receiver: str) -> str:
    """Return the key of a receiver's pending deliveries, by the time they are due (ms)."""
    return f"darkroom:deliveries:{receiver}"
