"""Classification of a chunk: read and decode its uploads in threads, then one forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Unknown
from shared.domain.entities import Chunk, Failure, ItemState, Outcome, Prediction, Upload
from shared.domain.errors import ItemError, Unavailable
from shared.jobs.records import SCORE_DECIMALS
from shared.storage.blobs import BlobStore
from worker.data.decode import decode
from worker.data.load_upload import load_upload
from worker.serving.models import LoadedModel
from worker.timings import Timings

#: Predictions that are stored per item.
TOP_K = 5

#: Seconds within which the images of a chunk must be read, so that a storage that hangs is not taken for a dead worker:
#: with the model, which may have to be fetched before, less than CLASSIFY_TIMEOUT_S.
READ_S = 30.0

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
        pixels = self._read(chunk, model, timings)
        good = {key: value for key, value in pixels.items() if not isinstance(value, ItemError)}
        outcomes = {key: failed_outcome(value) for key, value in pixels.items() if isinstance(value, ItemError)}
        if good:
            with timings.timing("forward"):
                answers = model.answer(np.stack(list(good.values())))
            novelty = [None] * len(good) if answers.novelty is None else answers.novelty.tolist()
            found = (
                outcome_of(scores, each, model.card.unknown)
                for scores, each in zip(answers.probabilities, novelty, strict=True)
            )
            outcomes |= dict(zip(good, found, strict=True))
        return outcomes

    def _read(self, chunk: Chunk, model: LoadedModel, timings: Timings) -> dict[str, Pixels | ItemError]:
        """Return the decoded picture of each item, or its error, by key. Raise Unavailable, also after READ_S."""
        reading: set[str] = set()  # keys, while their bytes are on the way
        futures = {
            upload.key: self.pool.submit(self._pixels, chunk.job_id, upload, model, timings, reading)
            for upload in chunk.uploads
        }
        try:
            done, pending = wait(futures.values(), READ_S, FIRST_EXCEPTION)
            for future in done:
                future.result()  # raise its error now, not after the others have ended
            # A decoder that hangs would hang again: the time limit of the task ends it. Everything else is the storage.
            is_decoding = any(future.running() and key not in reading for key, future in futures.items())
            if pending and not is_decoding:
                raise Unavailable(f"{len(pending)} of {len(futures)} images were not read within {READ_S:g} s")
            return {key: future.result() for key, future in futures.items()}
        finally:
            for future in futures.values():
                future.cancel()

    def _pixels(
        self, job_id: str, upload: Upload, model: LoadedModel, timings: Timings, reading: set[str]
    ) -> Pixels | ItemError:
        shape, resize = model.card.input, model.card.preprocessing.resize
        try:
            with timings.timing("read"), _listed(upload.key, reading):
                content = load_upload(self.blobs, job_id, upload.sha256)
            with timings.timing("decode"):
                return decode(content, shape.height, shape.width, self.max_pixels, resize)
        except ItemError as error:
            return error


@contextmanager
def _listed(key: str, keys: set[str]) -> Iterator[None]:
    """Have `key` in `keys` while the block runs."""
    keys.add(key)
    try:
        yield
    finally:
        keys.discard(key)


def failed_outcome(error: ItemError) -> Outcome:
    """Return the outcome of an item that cannot be classified."""
    return Outcome(ItemState.FAILED, failure=Failure(error.code, str(error)))


def outcome_of(scores: NDArray[np.float32], novelty: float | None = None, unknown: Unknown | None = None) -> Outcome:
    """Return the outcome for a row of scores (labels,): a failure if they are not probabilities.

    `novelty` is how unlike the training pictures it is, `unknown` the rule of the version's card.
    """
    rounded = np.round(scores, SCORE_DECIMALS)
    if not ((rounded >= 0) & (rounded <= 1)).all():
        return failed_outcome(ItemError("no_answer", "the model's output for this image is not probabilities"))
    is_unknown = unknown is not None and unknown.covers(float(scores.max()), novelty)
    return replace(top_predictions(scores), unknown=is_unknown, novelty=novelty)


def top_predictions(scores: NDArray[np.float32], top_k: int = TOP_K) -> Outcome:
    """Return the `top_k` best labels of a row of probabilities (labels,), best first; ties go to the lower index."""
    best: Iterable[int] = np.argsort(-scores, kind="stable")[:top_k].tolist()
    return Outcome(ItemState.SUCCEEDED, tuple(Prediction(index, float(scores[index])) for index in best))
