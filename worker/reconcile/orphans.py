"""What a crash has left in the storage and nobody will ever ask for. To find it takes a list of the whole storage."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from pathlib import Path

from shared.domain.card import CARD_FILE
from shared.domain.entities import JOBS_FOLDER
from shared.models.versions import PREFIX as VERSIONS_FOLDER
from shared.services import Services
from worker.publishing.scratch import IMPORT_PREFIX, PUBLISH_PREFIX

log = logging.getLogger("darkroom.orphans")


def remove_orphans(services: Services) -> None:
    """Delete what is older than a job may get. Raises Unavailable.

    Not sooner: whoever has started Darkroom with another Redis by mistake must be able to go back.
    """
    oldest = time.time() - services.settings.retention_hours * 3600
    _remove_pictures(services, oldest)
    _remove_versions(services, oldest)
    _remove_scratch(Path(services.blobs.temporary_folder or tempfile.gettempdir()), oldest)


def _remove_pictures(services: Services, oldest: float) -> None:
    """Those of jobs that Redis has lost."""
    for job_id, stored_at in services.blobs.folders(JOBS_FOLDER).items():
        if stored_at < oldest and not services.store.exists(job_id):
            log.warning("nothing is known of job %s any more: its pictures are deleted", job_id)
            services.delete_bytes(job_id)


def _remove_versions(services: Services, oldest: float) -> None:
    """Those of which the card is missing, which is written last."""
    for version, stored_at in services.blobs.folders(VERSIONS_FOLDER).items():
        folder = f"{VERSIONS_FOLDER}/{version}"
        if stored_at < oldest and not services.blobs.exists(f"{folder}/{CARD_FILE}"):
            log.warning("model version %s was never published whole: its files are deleted", version)
            services.blobs.delete_all(folder)


def _remove_scratch(parent: Path, oldest: float) -> None:
    """Folders of this machine in which a version was made by a process that was killed."""
    for prefix in (IMPORT_PREFIX, PUBLISH_PREFIX):
        for folder in parent.glob(f"{prefix}*"):
            if folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
