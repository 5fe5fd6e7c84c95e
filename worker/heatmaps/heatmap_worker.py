"""The unit of work on heatmaps: take one that is waited for, draw it and store it with its job."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from shared import logs
from shared.domain.entities import Failure, Queue
from shared.domain.errors import ItemError, StorageFull, Unavailable
from shared.images.pixels import thumbnail_size
from shared.jobs.heatmaps import MAX_TRIES, Heatmap, HeatmapQueue
from shared.jobs.messenger import Messenger
from shared.jobs.store import JobStore
from shared.storage.blobs import BlobStore
from worker.data.decode import decode_with_size, shown_part
from worker.data.load_upload import load_upload
from worker.heatmaps.draw import draw
from worker.serving.models import ModelCache, ModelUnusable
from worker.serving.peers import Peers

log = logging.getLogger(__name__)

#: The queue whose workers make heatmaps.
QUEUE = Queue.INTERACTIVE
#: Codes of failures that are not those of a picture.
BUSY, CRASHED = "unavailable", "crashed"


@dataclass(frozen=True)
class HeatmapWorker:
    """Makes heatmaps in a process that serves `queues`."""

    queues: Sequence[Queue]
    heatmaps: HeatmapQueue
    jobs: JobStore
    blobs: BlobStore
    messenger: Messenger
    models: ModelCache
    peers: Peers
    max_pixels: int

    def work(self) -> bool:
        """Make one heatmap. Return False if none is waited for. Raise Unavailable without Redis."""
        taken = self.heatmaps.claim(self.peers.left_to_them([QUEUE])) if QUEUE in self.queues else None
        if taken is None:
            return False
        wanted, tries = taken
        with logs.job_context(wanted.job_id, None):
            if tries > MAX_TRIES:
                self._fail(wanted, Failure(CRASHED, f"{MAX_TRIES} workers died while making this heatmap"))
            else:
                self._make(wanted)
        if self.heatmaps.is_due() and not self.messenger.message_count(QUEUE):
            self.messenger.wake_workers(QUEUE)
        return True

    def _make(self, wanted: Heatmap) -> None:
        began = time.monotonic()
        try:
            self._store(wanted, self._drawn(wanted))
        except ModelUnusable as error:
            self._leave_or_fail(wanted, error)
        except ItemError as error:
            self._fail(wanted, Failure(error.code, str(error)))
        except (Unavailable, StorageFull) as error:
            self._fail(wanted, Failure(BUSY, str(error)))
        except Exception:
            log.exception("a heatmap is not made after an unexpected error")
            self._fail(wanted, Failure(CRASHED, "an unexpected error; see the log of the worker"))
        else:
            self.heatmaps.finish(wanted)
            log.info("heatmap made", extra={"model": wanted.model, "seconds": round(time.monotonic() - began, 3)})

    def _leave_or_fail(self, wanted: Heatmap, error: ModelUnusable) -> None:
        """Leave the heatmap to another worker if one may have the model."""
        if self.peers.may_have(wanted.model, [QUEUE]):
            self.heatmaps.give_back(wanted)
        else:
            self._fail(wanted, Failure("model_unusable", str(error)))

    def _fail(self, wanted: Heatmap, failure: Failure) -> None:
        log.warning("a heatmap of version %s is not made: %s", wanted.model, failure.detail)
        self.heatmaps.finish(wanted, failure)

    def _drawn(self, wanted: Heatmap) -> bytes:
        """Return the PNG. Raise ModelUnusable, ItemError, Unavailable."""
        model = self.models.get(wanted.model)
        content = load_upload(self.blobs, wanted.job_id, wanted.stored_as, wanted.sha256)
        shape, resize = model.card.input, model.card.preprocessing.resize
        pixels, size = decode_with_size(content, shape.height, shape.width, self.max_pixels, resize)
        small = thumbnail_size(*size)
        return draw(model.locate(pixels, wanted.label), small, shown_part(small, (shape.width, shape.height), resize))

    def _store(self, wanted: Heatmap, png: bytes) -> None:
        """Store the PNG. Raise ItemError if its job was deleted meanwhile: the record goes before the bytes."""
        self.blobs.put(wanted.blob_key, png)
        if not self.jobs.exists(wanted.job_id):
            self.blobs.delete([wanted.blob_key])
            raise ItemError("missing", "the job was deleted in the meantime")
