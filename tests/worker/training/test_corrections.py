"""Corrected pictures as training data: selection, weight, held-out set, and the same ones after a crash."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from shared.domain.entities import blob_key
from shared.services import Services
from shared.training.datasets import WITH_CORRECTIONS, is_held_out
from tests.conftest import wait_until
from tests.corrections_kit import corrected, digest_of
from tests.worker.kit import pictures
from tests.worker.training.test_job import TRAINING_S, claim, curve, environment, failure_of, submit
from worker.data.datasets import CIFAR10_SHAPE, ChampionScore, Dataset
from worker.training.corrections import (
    MAX_SHARE,
    WEIGHT,
    CorrectedImages,
    TooFewCorrections,
    freeze_corrections,
    weight,
    with_champion_score,
    with_corrections,
)
from worker.training.job import run

__all__ = ["environment"]

SAMPLES = pictures(16)


def training_job(services: Services, owner: str = "local") -> str:
    return services.store.submit_training({"dataset": WITH_CORRECTIONS}, retention_s=3600, owner=owner)


def freeze(services: Services, job_id: str) -> CorrectedImages:
    owner, limit = services.store.get(job_id).owner, services.settings.max_pixels
    return freeze_corrections(services.blobs, services.corrections, job_id, owner, limit)


def made_up(count: int) -> CorrectedImages:
    """Return `count` corrected pictures of one colour each; every fourth is in the held-out set."""
    digests = tuple(f"{n:08x}{'0' * 56}" for n in range(count))
    images = np.stack([np.full(CIFAR10_SHAPE, n, np.uint8) for n in range(count)])
    return CorrectedImages(images, np.arange(count, dtype=np.uint8) % 10, digests)


def test_pictures_are_frozen_with_the_job(services: Services) -> None:
    """The owner's pictures that still exist, decoded as for serving; later changes affect later trainings only."""
    job = corrected(services, SAMPLES)
    corrected(services, pictures(40), owner="somebody")
    gone = digest_of(SAMPLES["airplane-10"])
    (services.settings.data_dir / "blobs" / blob_key(job, gone)).unlink()
    training = training_job(services)
    first = freeze(services, training)
    assert list(first.digests) == sorted({*map(digest_of, SAMPLES.values())} - {gone})
    assert first.images.shape == (15, *CIFAR10_SHAPE) and first.truth.max() < 10
    services.corrections.put(job, dict.fromkeys(SAMPLES))
    again = freeze(services, training)
    assert again.digests == first.digests and (again.images == first.images).all()
    assert (again.truth == first.truth).all()
    with pytest.raises(TooFewCorrections, match=r"\b0 .*8"):
        freeze(services, training_job(services))


def test_a_quarter_is_held_out_and_the_rest_is_repeated_ten_times(squares: Dataset) -> None:
    both = with_corrections(squares, made_up(8))
    added = len(both.x_train) - len(squares.x_train)
    assert both.corrections is not None
    assert (both.name, both.corrections.learnt, both.corrections.weight, added) == (WITH_CORRECTIONS, 6, WEIGHT, 60)
    learnt, kept = both.x_train[-added:, 0, 0, 0], both.corrections.x[:, 0, 0, 0]
    assert set(kept) == {0, 4} and set(learnt) == {1, 2, 3, 5, 6, 7}
    assert (both.y_train[-added:] == learnt % 10).all()
    assert both.x_test is squares.x_test and both.x_val is squares.x_val


def test_the_digest_covers_all_corrections(squares: Dataset) -> None:
    eight = made_up(8)
    relabelled = replace(eight, truth=eight.truth[::-1].copy())
    digests = {with_corrections(squares, each).digest for each in (eight, made_up(9), relabelled)} | {squares.digest}
    assert len(digests) == 4
    assert with_corrections(squares, eight).digest == with_corrections(squares, made_up(8)).digest


@pytest.mark.parametrize(("images", "corrections", "times"), [(48_000, 30, 10), (48_000, 2000, 6), (400, 1000, 1)])
def test_the_weight_falls_with_the_number_of_corrections(images: int, corrections: int, times: int) -> None:
    assert weight(images, corrections) == times
    assert times == 1 or times * corrections <= MAX_SHARE * (images + times * corrections) + 1e-9


def test_all_corrections_in_the_held_out_set_is_an_error(squares: Dataset) -> None:
    only = made_up(1)
    assert all(is_held_out(digest) for digest in only.digests)
    with pytest.raises(TooFewCorrections, match="held-out"):
        with_corrections(squares, only)


def test_a_champion_with_other_labels_is_not_scored(services: Services, squares: Dataset) -> None:
    both = with_corrections(squares, made_up(8))
    champion = services.registry.champion().version
    score = with_champion_score(services.registry, both).corrections.champion  # type: ignore[union-attr]
    assert score is not None and score.version == champion and score.accuracy in (0.0, 0.5, 1.0)
    other = with_champion_score(services.registry, replace(both, labels=("a", "b"))).corrections
    assert other is not None and other.champion == ChampionScore(champion, None)
    assert with_champion_score(services.registry, squares) is squares


@pytest.mark.usefixtures("environment")
def test_a_resumed_training_has_the_same_corrections_and_scores_both_models(services: Services) -> None:
    """Given a training that lost its worker, when its corrections are deleted, then it ends as without that."""
    job = corrected(services, SAMPLES)
    training = submit(services, dataset=WITH_CORRECTIONS, epochs=12)
    first = claim(services)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run, services, first)
        wait_until(lambda: services.store.get(training).step > 16, "an epoch is there", TRAINING_S, every=0.05)
        services.chunks.release(first.id, died=True)
        assert running.result(TRAINING_S) == os.EX_TEMPFAIL
    services.corrections.put(job, dict.fromkeys(SAMPLES))
    before = curve(services, training)
    assert run(services, claim(services)) == os.EX_OK
    ended = services.store.get(training)
    assert ended.model is not None and curve(services, training)[: len(before)] == before
    card = services.registry.card(ended.model)
    assert card.corrections is not None and card.dataset is not None
    judged_by = [is_held_out(digest_of(content)) for content in SAMPLES.values()]
    assert (card.corrections.learnt, card.corrections.held_out) == (
        judged_by.count(False),
        judged_by.count(True),
    )
    assert card.dataset.name == WITH_CORRECTIONS and card.dataset.digest != card.corrections.base_digest
    assert card.corrections.champion == services.registry.champion().version
    assert card.corrections.accuracy is not None and card.corrections.champion_accuracy is not None
    assert not services.blobs.keys(f"jobs/{training}")


@pytest.mark.usefixtures("environment")
def test_too_few_corrections_fail_the_job(services: Services) -> None:
    corrected(services, pictures(7))
    failure = failure_of(services, dataset=WITH_CORRECTIONS)
    assert (failure.code, failure.detail[:1]) == ("too_few_corrections", "7")
