"""Removal of orphans: stored files that a crash has left without an owner. Lists the whole storage."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from pathlib import Path

from shared.datasets.sweep import DatasetSweep
from shared.domain.card import CARD_FILE
from shared.domain.entities import JOBS_FOLDER, job_folder
from shared.jobs.store import JobStore
from shared.models.versions import PREFIX as VERSIONS_FOLDER
from shared.storage.blobs import BlobStore
from worker.publishing.scratch import EXPORT_PREFIX, IMPORT_PREFIX, PUBLISH_PREFIX

log = logging.getLogger("darkroom.orphans")


def remove_orphans(blobs: BlobStore, jobs: JobStore, datasets: DatasetSweep, retention_s: float) -> None:
    """Delete orphans that are older than `retention_s`. Raise Unavailable.

    Younger ones stay: an operator who has started Darkroom with the wrong Redis must be able to switch back.
    """
    oldest = time.time() - retention_s
    _remove_uploads(blobs, jobs, oldest)
    _remove_blocks(blobs, datasets, oldest)
    _remove_versions(blobs, oldest)
    _remove_scratch(Path(blobs.temporary_folder or tempfile.gettempdir()), oldest)


def _remove_uploads(blobs: BlobStore, jobs: JobStore, oldest: float) -> None:
    """Delete uploads of jobs that are no longer in Redis."""
    for job_id, stored_at in blobs.folders(JOBS_FOLDER).items():
        if stored_at < oldest and not jobs.exists(job_id):
            log.warning("job %s does not exist: deleting its uploads", job_id)
            blobs.delete_all(job_folder(job_id))


def _remove_blocks(blobs: BlobStore, datasets: DatasetSweep, oldest: float) -> None:
    """Delete pictures of datasets that are no longer in Redis, and of imports that were never committed."""
    for folder in datasets.orphans(oldest):
        log.warning("%s belongs to no dataset: deleting its files", folder)
        blobs.delete_all(folder)


def _remove_versions(blobs: BlobStore, oldest: float) -> None:
    """Delete model versions without a card, which is written last."""
    for version, stored_at in blobs.folders(VERSIONS_FOLDER).items():
        folder = f"{VERSIONS_FOLDER}/{version}"
        if stored_at < oldest and not blobs.exists(f"{folder}/{CARD_FILE}"):
            log.warning("model version %s was not published completely: deleting its files", version)
            blobs.delete_all(folder)


def _remove_scratch(parent: Path, oldest: float) -> None:
    """Delete temporary folders of imports, publications and exports whose process was killed."""
    for prefix in (IMPORT_PREFIX, PUBLISH_PREFIX, EXPORT_PREFIX):
        for folder in parent.glob(f"{prefix}*"):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
