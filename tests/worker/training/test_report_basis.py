"""A report that takes over the choices of an earlier one, against a full one, on made Embeddings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.datasets.files import basis_key
from shared.datasets.report import Judgement, Opinions
from shared.storage.blobs import BlobStore
from tests.worker.heads.test_fit import CLASSES, clouds
from worker.datasets.snapshot import FrozenDataset
from worker.heads.fit import fit_head
from worker.training.report import judge
from worker.training.report_basis import CHANGED, Basis, read_basis, write_basis

#: Pictures of each Label; every twentieth picture has a wrong one, and every fifth is to test on.
EACH = 80
BACKBONE = "everyday-1"


def pictures() -> tuple[FrozenDataset, NDArray[np.float16]]:
    vectors, truth = clouds(EACH)
    truth[::20] = (truth[::20] + 1) % CLASSES
    n = np.arange(len(truth))
    labels = tuple(f"label {index}" for index in range(CLASSES))
    return FrozenDataset("d" * 32, 1, labels, n + 1, ("",) * len(n), truth, n % 5 == 3, n // 2 * 2, n, n), vectors


def relabelled(frozen: FrozenDataset, places: Any) -> FrozenDataset:
    truth = frozen.truth.copy()
    truth[places] = (truth[places] + 2) % CLASSES
    return replace(frozen, revision=frozen.revision + 1, truth=truth)


def without(frozen: FrozenDataset, place: int) -> FrozenDataset:
    return frozen.without(np.arange(len(frozen.numbers)) == place)


def report(
    frozen: FrozenDataset, vectors: NDArray[Any], basis: Basis | None = None, *, seed: int = 0
) -> tuple[Judgement, Opinions, Basis]:
    learnt, no = ~frozen.test, np.zeros(len(frozen.numbers), np.bool_)
    if basis:
        fitted = basis.refit(frozen, vectors)
    else:
        fitted = fit_head(vectors[learnt], frozen.truth[learnt], CLASSES, groups=frozen.groups[learnt], seed=seed)
    judgement, opinions = judge(fitted, frozen, vectors, frozen.without(~no), vectors[no], basis=basis)
    return judgement, opinions, Basis.of(fitted, frozen, BACKBONE, judgement.curve)


def difference(one: Opinions, other: Opinions) -> float:
    """Return the mean difference of the doubts."""
    return float(np.abs(np.array(one.doubts) - np.array(other.doubts)).mean())


def above(doubt: float, opinions: Opinions) -> set[int]:
    return {each.n for each in opinions if each.doubt > doubt}


@pytest.mark.parametrize("deletes", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_report_after_few_changes_is_like_a_full_one(seed: int, deletes: bool) -> None:
    """Given a full report, When few pictures change, Then the next one differs as little as one with other folds."""
    before, vectors = pictures()
    basis = report(before, vectors)[2]
    wrong = np.random.default_rng(seed).choice(np.arange(1, 19), 3, replace=False)
    now = relabelled(before, wrong)
    if deletes:
        now, vectors = without(now, 0), vectors[1:]
    assert basis.suits(now, BACKBONE)
    (short, few, _), (full, all_, _) = report(now, vectors, basis), report(now, vectors)
    assert (short.curve, short.curve_revision, full.curve_revision) == (basis.curve, before.revision, None)
    assert difference(few, all_) <= 1.5 * difference(report(now, vectors, seed=1)[1], all_)
    assert above(0.9, few) <= above(0.5, all_) and above(0.9, all_) <= above(0.5, few)
    assert set(before.numbers[wrong].tolist()) <= above(0.5, few)
    assert short.doubted_count == pytest.approx(full.doubted_count, abs=4)
    assert short.unknown == pytest.approx(full.unknown, abs=4)


def test_nothing_changes_without_a_change() -> None:
    frozen, vectors = pictures()
    full, opinions, basis = report(frozen, vectors)
    again, same, _ = report(frozen, vectors, basis)
    assert again == full._replace(curve_revision=frozen.revision)
    np.testing.assert_allclose(same.doubts, opinions.doubts, atol=1e-5)


def test_only_few_changes_suit_a_basis() -> None:
    frozen, vectors = pictures()
    basis = report(frozen, vectors)[2]
    few = int(CHANGED * len(frozen.numbers))
    assert basis.suits(relabelled(frozen, slice(few)), BACKBONE)
    assert not basis.suits(relabelled(frozen, slice(few + 1)), BACKBONE)
    assert not basis.suits(without(relabelled(frozen, slice(few)), few), BACKBONE)
    assert not basis.suits(replace(frozen, test=~frozen.test), BACKBONE)
    assert not basis.suits(frozen, "everyday-2")


def test_a_basis_is_read_as_it_was_written(tmp_path: Path) -> None:
    frozen, vectors = pictures()
    blobs, basis = BlobStore.open(None, tmp_path), report(frozen, vectors)[2]
    assert read_basis(blobs, frozen.dataset) is None
    write_basis(blobs, frozen.dataset, basis)
    read = read_basis(blobs, frozen.dataset)
    assert read is not None
    assert (read.parts, read.curve, read.revision) == (basis.parts, basis.curve, basis.revision)
    now = relabelled(frozen, slice(2))
    assert report(now, vectors, read)[0] == report(now, vectors, basis)[0]

    write_basis(blobs, frozen.dataset, replace(basis, parts=(replace(basis.parts[0], strength=0.123),)))
    assert read_basis(blobs, frozen.dataset) is None  # a strength that is not tried any more
    blobs.put(basis_key(frozen.dataset), b"PK\3\4 damaged")
    assert read_basis(blobs, frozen.dataset) is None
