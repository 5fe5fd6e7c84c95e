"""Corrected pictures in a training: which, how often, held out or not, and the same ones after a crash."""

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
from worker.data.datasets import CIFAR10_SHAPE, Dataset
from worker.training.corrections import MOST, WEIGHT, Corrected, TooFewCorrections, frozen, joined, judged, weight
from worker.training.job import run

__all__ = ["environment"]

SAMPLES = pictures(16)


def training_job(services: Services, owner: str = "local") -> str:
    return services.store.submit_training({"dataset": WITH_CORRECTIONS}, retention_s=3600, owner=owner)


def made_up(count: int) -> Corrected:
    """So many corrected pictures of one colour, every fourth held out."""
    digests = tuple(f"{n:08x}{'0' * 56}" for n in range(count))
    images = np.stack([np.full(CIFAR10_SHAPE, n, np.uint8) for n in range(count)])
    return Corrected(images, np.arange(count, dtype=np.uint8) % 10, digests)


def test_pictures_are_frozen_with_the_job(services: Services) -> None:
    """Those of its owner that are still there, decoded as for serving; later changes are for later trainings."""
    job = corrected(services, SAMPLES)
    corrected(services, pictures(40), owner="somebody")
    gone = digest_of(SAMPLES["airplane-10"])
    (services.settings.data_dir / "blobs" / blob_key(job, gone)).unlink()
    training = training_job(services)
    first = frozen(services, training)
    assert list(first.digests) == sorted({*map(digest_of, SAMPLES.values())} - {gone})
    assert first.images.shape == (15, *CIFAR10_SHAPE) and first.truth.max() < 10
    services.corrections.put(job, dict.fromkeys(SAMPLES))
    again = frozen(services, training)
    assert again.digests == first.digests and (again.images == first.images).all()
    assert (again.truth == first.truth).all()
    with pytest.raises(TooFewCorrections, match=r"^0 corrected pictures, .*needs 8"):
        frozen(services, training_job(services))


def test_a_quarter_is_held_out_and_the_rest_is_learnt_from_ten_times(squares: Dataset) -> None:
    both = joined(squares, made_up(8))
    added = len(both.x_train) - len(squares.x_train)
    assert both.corrections is not None
    assert (both.name, both.corrections.learnt, both.corrections.weight, added) == (WITH_CORRECTIONS, 6, WEIGHT, 60)
    learnt, kept = both.x_train[-added:, 0, 0, 0], both.corrections.x[:, 0, 0, 0]
    assert set(kept) == {0, 4} and set(learnt) == {1, 2, 3, 5, 6, 7}
    assert (both.y_train[-added:] == learnt % 10).all()
    assert both.x_test is squares.x_test and both.x_val is squares.x_val


def test_the_digest_is_of_all_corrections(squares: Dataset) -> None:
    eight = made_up(8)
    relabelled = replace(eight, truth=eight.truth[::-1].copy())
    digests = {joined(squares, each).digest for each in (eight, made_up(9), relabelled)} | {squares.digest}
    assert len(digests) == 4
    assert joined(squares, eight).digest == joined(squares, made_up(8)).digest


@pytest.mark.parametrize(("images", "corrections", "times"), [(48_000, 30, 10), (48_000, 2000, 6), (400, 1000, 1)])
def test_many_corrections_count_less_each(images: int, corrections: int, times: int) -> None:
    assert weight(images, corrections) == times
    assert times == 1 or times * corrections <= MOST * (images + times * corrections) + 1e-9


def test_nothing_to_learn_from(squares: Dataset) -> None:
    only = made_up(1)
    assert all(is_held_out(digest) for digest in only.digests)
    with pytest.raises(TooFewCorrections, match="held out"):
        joined(squares, only)


def test_a_rival_for_other_labels_is_not_asked(services: Services, squares: Dataset) -> None:
    both = joined(squares, made_up(8))
    champion = services.registry.champion().version
    rival = judged(services.registry, both).corrections.rival  # type: ignore[union-attr]
    assert rival is not None and rival.version == champion and rival.accuracy in (0.0, 0.5, 1.0)
    other = judged(services.registry, replace(both, labels=("a", "b"))).corrections.rival  # type: ignore[union-attr]
    assert other is not None and (other.version, other.accuracy) == (champion, None)
    assert judged(services.registry, squares) is squares


@pytest.mark.usefixtures("environment")
def test_a_training_goes_on_with_the_same_pictures_and_reports_both_models(services: Services) -> None:
    """Given a training on corrections that its worker lost, when they are taken back, then it ends as it would have."""
    job = corrected(services, SAMPLES)
    training = submit(services, dataset=WITH_CORRECTIONS, epochs=12)
    first = claim(services)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(run, services, first)
        wait_until(lambda: services.store.get(training).step > 16, "an epoch is in the checkpoint", TRAINING_S)
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
    assert (card.corrections.learnt, card.corrections.held_out) == (judged_by.count(False), judged_by.count(True))
    assert card.dataset.name == WITH_CORRECTIONS and card.dataset.digest != card.corrections.base_digest
    assert card.corrections.champion == services.registry.champion().version
    assert card.corrections.accuracy is not None and card.corrections.champion_accuracy is not None
    assert not services.blobs.keys(f"jobs/{training}")


@pytest.mark.usefixtures("environment")
def test_too_few_corrections_fail_the_job_and_say_so(services: Services) -> None:
    corrected(services, pictures(7))
    failure = failure_of(services, dataset=WITH_CORRECTIONS)
    assert (failure.code, failure.detail[:1]) == ("too_few_corrections", "7")
