"""Corrected pictures for tests of training and evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from shared.domain.entities import LOCAL_OWNER, ItemState, JobKind, Outcome, Prediction, Queue, Upload, blob_key
from shared.services import Services
from shared.training.datasets import CIFAR10_LABELS

#: The recorded prediction for each picture: airplane.
WRONG = Outcome(ItemState.SUCCEEDED, (Prediction(0, 0.5),))


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def corrected(services: Services, contents: Mapping[str, bytes], owner: str = LOCAL_OWNER) -> str:
    """Create a finished job whose items are corrected to the label that their key begins with; return its id."""
    champion = services.registry.champion().version
    job_id = services.store.create(JobKind.CLASSIFICATION, retention_s=3600, model=champion, owner=owner)
    uploads = []
    for key, content in contents.items():
        services.blobs.put(blob_key(job_id, digest_of(content)), content)
        uploads.append(Upload(key, f"{key}.png", len(content), digest_of(content), "image/png", 32, 32))
    services.store.add(job_id, uploads, 1000)
    services.store.seal(job_id)
    chunk = services.chunks.claim("worker", [Queue.INTERACTIVE, Queue.BULK])
    assert chunk is not None and services.chunks.commit(chunk, {upload.key: WRONG for upload in chunk.uploads})
    services.corrections.put(job_id, {key: CIFAR10_LABELS.index(key.partition("-")[0]) for key in contents})
    return job_id
