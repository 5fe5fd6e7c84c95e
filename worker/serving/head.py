"""A Head: what a training on a Backbone's Embeddings makes. It gives probabilities, and says what is new."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import HEAD_FILE
from worker.serving.forward import ModelUnusable
from worker.serving.tta import TINY, softmax

#: Embeddings whose distances are computed at a time, so that they take little memory.
ROWS = 256


@dataclass(frozen=True, eq=False)
class Head:
    """A classifier of Embeddings.

    `weights` (d, classes) and `bias` (classes,) give logits that are already divided by the temperature. `references`
    (r, d) are normalised Embeddings of training pictures.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    references: NDArray[np.float32]

    def probabilities(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probabilities (n, classes) of Embeddings (n, d)."""
        return softmax(embeddings.astype(np.float32) @ self.weights + self.bias).astype(np.float32)

    def novelty(self, embeddings: NDArray[Any]) -> NDArray[np.float32]:
        """Return how unlike the training pictures each Embedding is, 0 to 1: its distance to the nearest of them."""
        return nearest_distance(embeddings, self.references)

    def save(self, folder: Path) -> None:
        """Write HEAD_FILE to a folder."""
        np.savez(
            folder / HEAD_FILE,
            weights=self.weights,
            bias=self.bias,
            references=self.references.astype(np.float16),
        )

    @classmethod
    def load(cls, file: Path) -> Head:
        """Return the Head in a file. Raise ModelUnusable if it is not one."""
        try:
            with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
                return cls(arrays["weights"], arrays["bias"], arrays["references"].astype(np.float32))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ModelUnusable(f"{file.parent.name}/{file.name} is not a Head: {error}") from error


def normalised(embeddings: NDArray[Any]) -> NDArray[np.float32]:
    """Return the Embeddings (n, d) divided by their lengths."""
    rows = embeddings.astype(np.float32)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    return np.asarray(rows / np.maximum(lengths, TINY)[:, None], np.float32)


def nearest_distance(embeddings: NDArray[Any], references: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine distance, 0 to 1, of each Embedding (n, d) to the nearest of the normalised `references`."""
    rows, nearest = normalised(embeddings), np.empty(len(embeddings), np.float32)
    for start in range(0, len(rows), ROWS):
        part = slice(start, start + ROWS)
        nearest[part] = 1 - (rows[part] @ references.T).max(axis=1)
    return nearest.clip(0, 1)  # no component is negative, so only rounding leaves this range
