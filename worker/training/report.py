"""The report on a Dataset: near copies, tiny pictures, doubted Labels, suggestions, and what more would bring."""

from __future__ import annotations

import time
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.datasets.entities import Picture, Rejection, Snapshot
from shared.datasets.files import basis_key, neighbours_key, report_key
from shared.datasets.neighbours import compared, write_neighbours
from shared.datasets.report import (
    LISTED,
    NEIGHBOURS,
    TINY_PIXELS,
    CurvePoint,
    Doubted,
    Findings,
    Gain,
    Judgement,
    Neighbour,
    Opinions,
    no_opinions,
    write_report,
)
from shared.models.comparison import wilson
from shared.services import Services
from shared.storage.blobs import BlobStore
from worker.datasets.snapshot import FrozenDataset, unlabelled
from worker.heads.curve import SHARES, accuracy_by_share, gains
from worker.heads.doubt import Doubts, doubts
from worker.heads.fit import FittedHead
from worker.heads.neighbours import Pictures, digest, neighbours
from worker.serving.head import normalised
from worker.training.head import LearntHead, embed
from worker.training.report_basis import Basis, write_basis


def report_on(services: Services, learnt: LearntHead) -> None:
    """Compute the report on the Dataset from a Head that has learnt from it, and store it.

    Raise NotFound if the Dataset is deleted, StorageFull, Unavailable.
    """
    frozen = learnt.frozen
    snapshot = services.dataset_pictures.snapshot(frozen.dataset)
    others = unlabelled(snapshot)
    vectors = embed(services, learnt.backbone, others)
    gone = np.all(vectors == 0, axis=1)
    others, vectors = others.without(gone), vectors[~gone]
    rejections = services.dataset_pictures.rejections(frozen.dataset)
    judgement, opinions = judge(
        learnt.fitted, frozen, learnt.vectors, others, vectors, basis=learnt.basis, rejections=rejections
    )
    pictures = (
        Pictures(frozen.numbers, frozen.groups, learnt.vectors),
        Pictures(others.numbers, others.groups, vectors),
    )
    store_neighbours(services.blobs, frozen.dataset, learnt.backbone.version, *pictures)
    if learnt.basis is None:
        basis = Basis.of(learnt.fitted, frozen, learnt.backbone.version, judgement.curve)
        write_basis(services.blobs, frozen.dataset, basis)
    store(services, frozen.dataset, findings(snapshot, frozen.revision, judgement), opinions)


def report_without_labels(services: Services, dataset: str, reason: str) -> None:
    """Store the report on a Dataset from which nothing can be learnt, for this reason.

    Raise NotFound if the Dataset is deleted, StorageFull, Unavailable.
    """
    snapshot = services.dataset_pictures.snapshot(dataset)
    store(services, dataset, findings(snapshot, snapshot.revision, None, reason), no_opinions())


def store(services: Services, dataset: str, found: Findings, opinions: Opinions) -> None:
    """Store a report. If the Dataset was deleted meanwhile, delete all that was found."""
    write_report(services.blobs, dataset, found, opinions)
    if not services.datasets.exists(dataset):
        services.blobs.delete([report_key(dataset), neighbours_key(dataset), basis_key(dataset)])


def store_neighbours(blobs: BlobStore, dataset: str, backbone: str, labelled: Pictures, others: Pictures) -> None:
    """Store the labelled pictures that look most like each labelled one, and each of `others`.

    They do not depend on what the Labels are, so for the same pictures they are there already.
    """
    about = digest(backbone, labelled, others)
    if compared(blobs, dataset) != about:
        both = Pictures(*(np.concatenate(pair) for pair in zip(labelled, others, strict=True)))
        write_neighbours(blobs, dataset, about, neighbours(both, labelled).astype("<u4").tobytes())


def judge(
    fitted: FittedHead,
    frozen: FrozenDataset,
    vectors: NDArray[Any],
    others: FrozenDataset,
    other_vectors: NDArray[Any],
    *,
    basis: Basis | None = None,
    rejections: Mapping[int, Rejection] = MappingProxyType({}),
) -> tuple[Judgement, Opinions]:
    """Return what a Head tells about labelled pictures, and `others` without a Label; Embeddings are (n, d).

    Training pictures are judged by classifiers that were fitted without them. The learning curve is that of the
    `basis`, if the Head has one. A picture is not doubted for a Label that a person has rejected for it.
    """
    train, test = ~frozen.test, frozen.test
    probabilities = np.empty((len(frozen.numbers), fitted.probabilities.shape[1]), np.float32)
    novelty = np.empty(len(frozen.numbers), np.float32)
    probabilities[train], novelty[train] = fitted.probabilities, fitted.novelty
    probabilities[test] = fitted.head.probabilities(vectors[test])
    novelty[test] = fitted.head.novelty(vectors[test])
    own = doubts(probabilities, frozen.truth)
    suggested = fitted.head.probabilities(other_vectors)
    worst = np.flatnonzero(own.is_doubted & ~are_rejected(frozen, own, rejections))
    worst = worst[np.argsort(-own.doubt[worst], kind="stable")]
    curve = basis.curve if basis else learning_curve(fitted, frozen, vectors)
    unknown = (
        count_unknown(fitted, probabilities, novelty),
        count_unknown(fitted, suggested, fitted.head.novelty(other_vectors)),
    )
    doubted = neighbourhoods(frozen, vectors, worst[:LISTED])
    revision = basis.revision if basis else None
    judgement = Judgement(len(worst), doubted, unknown, curve, gains_of(fitted, frozen, curve), revision)
    return judgement, opinions_of(frozen, own, others, suggested)


def are_rejected(frozen: FrozenDataset, own: Doubts, rejections: Mapping[int, Rejection]) -> NDArray[np.bool_]:
    """Return for which pictures (n,) a person has rejected the Label that fits best besides their own."""
    found = np.zeros(len(frozen.numbers), bool)
    for place in np.flatnonzero(np.isin(frozen.numbers, list(rejections))):
        found[place] = rejections[int(frozen.numbers[place])] == (frozen.truth[place], own.best[place])
    return found


def count_unknown(fitted: FittedHead, probabilities: NDArray[Any], novelty: NDArray[Any]) -> int:
    """Return how many pictures get no answer, by probabilities (n, classes) and novelty (n,)."""
    pairs = zip(probabilities.max(axis=1).tolist(), novelty.tolist(), strict=True)
    return sum(fitted.unknown.covers(*pair) for pair in pairs)


def opinions_of(frozen: FrozenDataset, own: Doubts, others: FrozenDataset, suggested: NDArray[Any]) -> Opinions:
    """Return the opinions on labelled pictures and others, by number; `suggested` (n, classes) are probabilities."""
    numbers = np.concatenate([frozen.numbers, others.numbers])
    columns = (
        numbers,
        np.concatenate([frozen.truth, others.truth]),
        np.concatenate([own.best, suggested.argmax(axis=1)]),
        np.concatenate([own.score, suggested.max(axis=1).clip(0, 1)]),
        np.concatenate([own.doubt, np.zeros(len(others.numbers))]),
    )
    order = np.argsort(numbers)
    empty = no_opinions().columns
    filled = (array(kept.typecode, column[order].tolist()) for kept, column in zip(empty, columns, strict=True))
    return Opinions(*filled)


def neighbourhoods(frozen: FrozenDataset, vectors: NDArray[Any], places: NDArray[np.int64]) -> tuple[Doubted, ...]:
    """Return the pictures at these places with the labelled pictures that resemble them most."""
    rows = normalised(vectors)
    similarity = rows[places] @ rows.T
    similarity[np.arange(len(places)), places] = -1
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEIGHBOURS]
    numbers, truth = frozen.numbers.tolist(), frozen.truth.tolist()
    return tuple(
        Doubted(
            numbers[place],
            truth[place],
            tuple(Neighbour(numbers[other], truth[other], float(close[other])) for other in near if other != place),
        )
        for place, near, close in zip(places.tolist(), nearest.tolist(), similarity, strict=True)
    )


def learning_curve(fitted: FittedHead, frozen: FrozenDataset, vectors: NDArray[Any]) -> tuple[CurvePoint, ...]:
    """Return the cross-validated accuracy after learning from 25, 50, 75 and 100 % of the training pictures."""
    train = ~frozen.test
    truth, groups = frozen.truth[train], frozen.groups[train]
    classes = fitted.probabilities.shape[1]
    accuracies = accuracy_by_share(vectors[train], truth, classes, fitted.parts, groups=groups, seed=fitted.seed)
    accuracies.append(float(np.mean(fitted.probabilities.argmax(axis=1) == truth)))
    return tuple(
        CurvePoint(share, round(share * len(truth)), accuracy, wilson(accuracy, len(truth)))
        for share, accuracy in zip((*SHARES, 1.0), accuracies, strict=True)
    )


def gains_of(fitted: FittedHead, frozen: FrozenDataset, curve: Sequence[CurvePoint]) -> tuple[Gain, ...]:
    """Return the Labels that would gain most from ten more pictures, the first most."""
    truth, classes = frozen.truth[~frozen.test], fitted.probabilities.shape[1]
    counts = np.bincount(truth, minlength=classes)
    right = np.bincount(truth[fitted.probabilities.argmax(axis=1) == truth], minlength=classes)
    gain = gains(counts, right, [point.share for point in curve], [point.accuracy for point in curve])
    order = [int(label) for label in np.argsort(-gain, kind="stable") if counts[label]]
    return tuple(
        Gain(label, int(counts[label]), float(right[label] / counts[label]), float(gain[label]))
        for label in order[:LISTED]
    )


def findings(snapshot: Snapshot, revision: int, judgement: Judgement | None, reason: str | None = None) -> Findings:
    """Return what was found in the pictures of a Snapshot, with what a Head tells that learnt at `revision`."""
    groups = near_copies(snapshot.pictures)
    chosen = sorted(groups, key=lambda group: (not is_mixed(group), -len(group)))[:LISTED]
    tiny = [each.n for each in snapshot.pictures if min(each.width, each.height) < TINY_PIXELS]
    return Findings(
        revision=revision,
        computed_at=time.time(),
        group_count=len(groups),
        mixed_group_count=sum(map(is_mixed, groups)),
        groups=tuple(tuple(each.n for each in group[:LISTED]) for group in chosen),
        tiny_count=len(tiny),
        tiny=tuple(tiny[:LISTED]),
        judgement=judgement,
        reason=reason,
    )


def near_copies(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Return the groups of two or more pictures."""
    groups: defaultdict[int, list[Picture]] = defaultdict(list)
    for picture in pictures:
        groups[picture.group].append(picture)
    return [group for group in groups.values() if len(group) > 1]


def is_mixed(pictures: Sequence[Picture]) -> bool:
    """Return whether the pictures have several Labels."""
    return len({picture.label for picture in pictures if picture.label is not None}) > 1
