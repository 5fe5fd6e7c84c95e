"""What a full report has chosen, kept in one Blob: a later one takes it over while nearly all Labels are the same.

datasets/<dataset>/basis    an `.npz` file without pickled objects
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.datasets.files import basis_key
from shared.datasets.report import CurvePoint
from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore
from worker.datasets.snapshot import FrozenDataset
from worker.heads.fit import FittedHead, refit_head
from worker.heads.methods import METHODS
from worker.heads.trials import Part

#: Share of the labelled pictures that may be new, gone, relabelled or in another Split since the full report.
CHANGED = 0.01
#: Fold of a picture to test on.
TEST = -1
#: Arrays of a Basis.
COLUMNS = ("numbers", "truth", "fold", "novelty")


@dataclass(frozen=True, eq=False)
class Basis:
    """The choices of a full report: the `parts` of the classifier, the learning `curve`, and each picture's fold.

    `numbers`, `truth` and `fold` (n,) are of the labelled pictures at `revision`, by number; `novelty` is of those to
    learn from.
    """

    revision: int
    backbone: str
    seed: int
    parts: tuple[Part, ...]
    curve: tuple[CurvePoint, ...]
    numbers: NDArray[np.int64]
    truth: NDArray[np.int64]
    fold: NDArray[np.int64]
    novelty: NDArray[np.float32]

    @classmethod
    def of(cls, fitted: FittedHead, frozen: FrozenDataset, backbone: str, curve: tuple[CurvePoint, ...]) -> Basis:
        """Return the basis that a full report on these pictures leaves."""
        fold = np.full(len(frozen.numbers), TEST)
        fold[~frozen.test] = fitted.fold
        columns = (frozen.numbers, frozen.truth, fold, fitted.novelty)
        return cls(frozen.revision, backbone, fitted.seed, fitted.parts, curve, *columns)

    def suits(self, frozen: FrozenDataset, backbone: str) -> bool:
        """Return whether these pictures are nearly the same, with nearly the same Labels and Splits."""
        common, before, now = np.intersect1d(self.numbers, frozen.numbers, assume_unique=True, return_indices=True)
        same = self.truth[before] == frozen.truth[now]
        same &= (self.fold[before] == TEST) == frozen.test[now]
        changed = len(self.numbers) + len(frozen.numbers) - 2 * len(common) + np.count_nonzero(~same)
        return backbone == self.backbone and bool(changed <= CHANGED * len(self.numbers))

    def refit(self, frozen: FrozenDataset, vectors: NDArray[Any]) -> FittedHead:
        """Return the chosen classifier, fitted to the present Labels. `vectors` (n, d) are the pictures' Embeddings."""
        learnt = ~frozen.test
        fold = dict(zip(self.numbers.tolist(), self.fold.tolist(), strict=True))
        are_same = np.array_equal(self.numbers[self.fold != TEST], frozen.numbers[learnt])
        return refit_head(
            self.parts,
            vectors[learnt],
            frozen.truth[learnt],
            len(frozen.labels),
            groups=frozen.groups[learnt],
            before=np.array([fold.get(number, -1) for number in frozen.numbers[learnt].tolist()]),
            novelty=self.novelty if are_same else None,
            seed=self.seed,
        )


def write_basis(blobs: BlobStore, dataset: str, basis: Basis) -> None:
    """Store the basis in place of an earlier one. Raise StorageFull, Unavailable."""
    file = io.BytesIO()
    parts = [(part.method.name, part.strength, part.temperature) for part in basis.parts]
    head = json.dumps([basis.revision, basis.backbone, basis.seed, parts, basis.curve])
    np.savez_compressed(file, head=np.array(head), **{name: getattr(basis, name) for name in COLUMNS})
    blobs.put(basis_key(dataset), file.getvalue())


def read_basis(blobs: BlobStore, dataset: str) -> Basis | None:
    """Return the basis, or None if there is none that this version of Darkroom can use. Raise Unavailable."""
    try:
        with np.load(io.BytesIO(blobs.get(basis_key(dataset))), allow_pickle=False) as arrays:
            revision, backbone, seed, parts, curve = json.loads(str(arrays["head"]))
            columns = (arrays[name] for name in COLUMNS)
            return Basis(revision, backbone, seed, tuple(_part(*each) for each in parts), _curve(curve), *columns)
    except (NotFound, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _part(name: str, strength: float, temperature: float) -> Part:
    """Return a part. Raise KeyError, ValueError if the method or the strength is no longer tried."""
    method = {each.name: each for each in METHODS}[name]
    return Part(method, method.strengths[method.strengths.index(strength)], temperature)


def _curve(points: list[Any]) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(share, count, accuracy, (low, high)) for share, count, accuracy, (low, high) in points)
