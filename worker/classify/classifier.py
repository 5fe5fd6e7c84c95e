"""Classification of a chunk: read and decode its uploads in threads, then one forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.domain.entities import Chunk, Failure, ItemState, Outcome, Prediction, Upload
from shared.domain.errors import ItemError
from shared.jobs.records import SCORE_DECIMALS
from shared.storage.blobs import BlobStore
from worker.classify.timings import Timings
from worker.data.decode import decode
from worker.data.load_upload import load_upload
from worker.serving.models import LoadedModel

#: Predictions that are stored per item.
TOP_K = 5

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Classifier:
    """A classifier of chunks. `pool` reads and decodes uploads, both of which release the GIL."""

    blobs: BlobStore
    max_pixels: int
    pool: ThreadPoolExecutor

    def classify(self, chunk: Chunk, model: LoadedModel, timings: Timings | None = None) -> dict[str, Outcome]:
        """Return the outcome of each item by key. Raise Unavailable if the storage cannot be reached."""
        timings = timings or Timings()
        read = self.pool.map(lambda upload: self._pixels(chunk.job_id, upload, model, timings), chunk.uploads)
        pixels = dict(zip((upload.key for upload in chunk.uploads), read, strict=True))
        good = {key: value for key, value in pixels.items() if not isinstance(value, ItemError)}
        outcomes = {key: failed_outcome(value) for key, value in pixels.items() if isinstance(value, ItemError)}
        if good:
            with timings.timing("forward"):
                scores = model.forward(np.stack(list(good.values())))
            outcomes |= dict(zip(good, map(outcome_of, scores), strict=True))
        return outcomes

    def _pixels(self, job_id: str, upload: Upload, model: LoadedModel, timings: Timings) -> Pixels | ItemError:
        shape = model.card.input
        try:
            with timings.timing("read"):
                content = load_upload(self.blobs, job_id, upload.sha256)
            with timings.timing("decode"):
                return decode(content, shape.height, shape.width, self.max_pixels)
        except ItemError as error:
            return error


def failed_outcome(error: ItemError) -> Outcome:
    """Return the outcome of an item that cannot be classified."""
    return Outcome(ItemState.FAILED, failure=Failure(error.code, str(error)))


def outcome_of(scores: NDArray[np.float32]) -> Outcome:
    """Return the outcome for a row of scores (labels,): a failure if they are not probabilities."""
    rounded = np.round(scores, SCORE_DECIMALS)
    if not ((rounded >= 0) & (rounded <= 1)).all():
        return failed_outcome(ItemError("no_answer", "the model's output for this image is not probabilities"))
    return top_predictions(scores)


def top_predictions(scores: NDArray[np.float32], top_k: int = TOP_K) -> Outcome:
    """Return the `top_k` best labels of a row of probabilities (labels,), best first; ties go to the lower index."""
    best: Iterable[int] = np.argsort(-scores, kind="stable")[:top_k].tolist()
    return Outcome(ItemState.SUCCEEDED, tuple(Prediction(index, float(scores[index])) for index in best))
