"""Classification of chunks: read and decode their uploads in threads, then one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Unknown
from shared.domain.entities import Chunk, Failure, ItemState, Outcome, Prediction
from shared.domain.errors import ItemError, Unavailable
from shared.jobs.records import SCORE_DECIMALS
from shared.storage.blobs import BlobStore
from worker.data.decode import decode
from worker.data.load_upload import UploadsOfChunk
from worker.serving.models import LoadedModel
from worker.timings import Timings

#: Predictions that are stored per item.
TOP_K = 5

#: Seconds within which the images of a chunk must be read, so that a storage that hangs is not taken for a dead worker:
#: with the model, which may have to be fetched before, less than CLASSIFY_TIMEOUT_S.
READ_S = 30.0
#: Seconds for which chunks that are classified together wait for each other's pictures.
TOGETHER_S = 1.0

Pixels = NDArray[np.uint8]
#: Ids of a chunk and of one of its items.
Place = tuple[str, str]
Classified = list[tuple[Chunk, dict[str, Outcome]]]


@dataclass(frozen=True)
class Classifier:
    """A classifier of chunks. `pool` reads and decodes uploads, both of which release the GIL."""

    blobs: BlobStore
    max_pixels: int
    pool: ThreadPoolExecutor

    def classify(self, chunk: Chunk, model: LoadedModel, timings: Timings | None = None) -> dict[str, Outcome]:
        """Return the outcome of each item by key. Raise Unavailable if the storage cannot be reached."""
        [[(_, outcomes)]] = self.classify_together([chunk], model, timings or Timings())
        return outcomes

    def classify_together(self, chunks: Sequence[Chunk], model: LoadedModel, timings: Timings) -> Iterator[Classified]:
        """Yield the chunks with the outcome of each of their items by key, in one forward pass.

        Chunks whose pictures are not all read within TOGETHER_S do not delay the others: they follow in a second pass.
        Raise Unavailable if the storage cannot be reached, for those that were not yielded.
        """
        reading: set[Place] = set()  # while their bytes are on the way
        futures = {
            (chunk.id, upload.key): self.pool.submit(
                self._pixels, (chunk.id, upload.key), partial(stored.load, upload), model, timings, reading
            )
            for chunk in chunks
            for stored in [UploadsOfChunk(self.blobs, chunk.job_id, chunk.uploads)]
            for upload in chunk.uploads
        }
        try:
            prompt = _read_in_time(chunks, futures) if len(chunks) > 1 else []
            for group in (prompt, [chunk for chunk in chunks if chunk not in prompt]):
                if group:
                    pixels = _wait({place: futures[place] for place in _places(group)}, reading)
                    outcomes = _outcomes(pixels, model, timings)
                    yield [(chunk, {key: outcomes[chunk.id, key] for _, key in _places([chunk])}) for chunk in group]
        finally:
            for future in futures.values():
                future.cancel()

    def _pixels(
        self, place: Place, load: Callable[[], bytes], model: LoadedModel, timings: Timings, reading: set[Place]
    ) -> Pixels | ItemError:
        shape, resize = model.card.input, model.card.preprocessing.resize
        try:
            with timings.timing("read"), _listed(place, reading):
                content = load()
            with timings.timing("decode"):
                return decode(content, shape.height, shape.width, self.max_pixels, resize)
        except ItemError as error:
            return error


def _places(chunks: Sequence[Chunk]) -> list[Place]:
    return [(chunk.id, upload.key) for chunk in chunks for upload in chunk.uploads]


def _read_in_time(chunks: Sequence[Chunk], futures: Mapping[Place, Future[Pixels | ItemError]]) -> list[Chunk]:
    """Return the chunks whose pictures are all read within TOGETHER_S."""
    wait(futures.values(), TOGETHER_S)

    def is_read(future: Future[Pixels | ItemError]) -> bool:
        return future.done() and future.exception() is None

    return [chunk for chunk in chunks if all(is_read(futures[place]) for place in _places([chunk]))]


def _wait(futures: Mapping[Place, Future[Pixels | ItemError]], reading: set[Place]) -> dict[Place, Pixels | ItemError]:
    """Return the decoded pictures, or their errors. Raise Unavailable, also after READ_S."""
    done, pending = wait(futures.values(), READ_S, FIRST_EXCEPTION)
    for future in done:
        future.result()  # raise its error now, not after the others have ended
    # A decoder that hangs would hang again: the time limit of the task ends it. Everything else is the storage.
    is_decoding = any(future.running() and place not in reading for place, future in futures.items())
    if pending and not is_decoding:
        raise Unavailable(f"{len(pending)} of {len(futures)} images were not read within {READ_S:g} s")
    return {place: future.result() for place, future in futures.items()}


def _outcomes(pixels: Mapping[Place, Pixels | ItemError], model: LoadedModel, timings: Timings) -> dict[Place, Outcome]:
    """Classify the decoded pictures in one forward pass."""
    good = {place: value for place, value in pixels.items() if not isinstance(value, ItemError)}
    outcomes = {place: failed_outcome(value) for place, value in pixels.items() if isinstance(value, ItemError)}
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


@contextmanager
def _listed(place: Place, places: set[Place]) -> Iterator[None]:
    """Have `place` in `places` while the block runs."""
    places.add(place)
    try:
        yield
    finally:
        places.discard(place)


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
