"""A Head: what a training on a Backbone's Embeddings makes. It gives probabilities, and says what is unknown."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import HEAD_FILE
from worker.heads.methods import TINY, softmax
from worker.serving.forward import ModelUnusable

#: Embeddings whose distances are computed at a time, so that they take little memory.
ROWS = 256


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers for n pictures: probabilities (n, classes), novelty (n,) from 0 to 1, and whether each is unknown.

    A novelty above 0.5 is unknown; so is a low score. Without a rule, `novelty` is None and nothing is unknown.
    """

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None
    unknown: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Head:
    """A classifier of Embeddings.

    `weights` (d, classes) and `bias` (classes,) give logits that are already divided by the temperature. `references`
    (r, d) are normalised Embeddings of training pictures. A picture is unknown if its cosine distance to the nearest
    of them is above `max_distance`, or if its best probability is below `min_score`.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    references: NDArray[np.float32]
    max_distance: float
    min_score: float

    def answer(self, embeddings: NDArray[Any]) -> Answers:
        """Return the answers for Embeddings (n, d)."""
        embeddings = embeddings.astype(np.float32)
        probabilities = softmax(embeddings @ self.weights + self.bias)
        distances = nearest_distance(embeddings, self.references)
        unknown = (distances > self.max_distance) | (probabilities.max(axis=1) < self.min_score)
        return Answers(probabilities, novelty(distances, self.max_distance), unknown)

    def save(self, folder: Path) -> None:
        """Write HEAD_FILE to a folder."""
        np.savez(
            folder / HEAD_FILE,
            weights=self.weights,
            bias=self.bias,
            references=self.references.astype(np.float16),
            limits=np.array([self.max_distance, self.min_score]),
        )

    @classmethod
    def load(cls, file: Path) -> Head:
        """Return the Head in a file. Raise ModelUnusable if it is not one."""
        try:
            with np.load(file, allow_pickle=False) as arrays:
                distance, score = arrays["limits"].tolist()
                references = arrays["references"].astype(np.float32)
                return cls(arrays["weights"], arrays["bias"], references, distance, score)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelUnusable(f"{file.parent.name}/{file.name} is not a Head: {error}") from error


def normalised(embeddings: NDArray[Any]) -> NDArray[np.float32]:
    """Return the Embeddings (n, d) divided by their lengths."""
    rows = embeddings.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return np.asarray(rows / np.maximum(lengths, TINY)[:, None], np.float32)


def nearest_distance(embeddings: NDArray[Any], references: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine distance, 0 to 2, of each Embedding (n, d) to the nearest of the normalised `references`."""
    rows, nearest = normalised(embeddings), np.empty(len(embeddings), np.float32)
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        nearest[part] = 1 - (rows[part] @ references.T).max(axis=1)
    return nearest.clip(0, 2)  # rounding can give −1e-7


def novelty(distances: NDArray[np.float32], max_distance: float) -> NDArray[np.float32]:
    """Return the novelty of distances, 0 to 1: 0.5 at `max_distance`."""
    return np.asarray(distances / np.maximum(distances + max_distance, TINY), np.float32)
