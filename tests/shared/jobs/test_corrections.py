"""Corrections: all or nothing, counted, listed for training and removed with their job."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.entities import LOCAL_OWNER, JobKind, new_id
from shared.domain.errors import Conflict, NotFound
from shared.jobs.corrections import READ_BATCH, Correction, LabelCount
from shared.jobs.results import Filter
from shared.redis import keys
from tests.shared.kit import MANY, REFUSED, RINGS, UNREADABLE, Kit, names, sure, upload, uploads


def counted(kit: Kit, job: str) -> dict[int, LabelCount]:
    """Return the job's label counts after checking that they equal the items."""
    items = [item for item in kit.results.items(job, MANY).items if item.label is not None]
    every = Counter(item.label for item in items)
    corrected = Counter(item.correction for item in items)
    counts = {index: count for index, count in kit.corrections.counts(job).items() if count != LabelCount()}
    assert counts == {index: LabelCount(every[index], corrected[index]) for index in every if index is not None}
    return counts


def test_the_counts_follow_commits_and_corrections(kit: Kit) -> None:
    job = kit.sealed_job(uploads(5))
    assert counted(kit, job) == {}
    outcomes = {"k0": sure(0.9, 3), "k1": sure(0.8, 3), "k2": sure(0.7, 5), "k3": UNREADABLE, "k4": sure(0.6, 3)}
    chunk = kit.claim()
    assert kit.chunks.commit(chunk, outcomes)
    assert kit.chunks.commit(chunk, outcomes)  # a repeat does not count
    assert counted(kit, job) == {3: LabelCount(3), 5: LabelCount(1)}
    before, revision = kit.results.finished(job, 9), kit.store.revision(job)
    for _ in range(2):
        kit.corrections.put(job, {"k0": 7, "k1": 3})
        assert counted(kit, job) == {3: LabelCount(2, 1), 5: LabelCount(1), 7: LabelCount(1, 1)}
    assert [item.outcome for item in kit.results.finished(job, 9).items] == [item.outcome for item in before.items]
    assert kit.store.revision(job) == revision
    kit.corrections.put(job, {"k0": 5, "k1": None})
    assert counted(kit, job) == {3: LabelCount(2), 5: LabelCount(2, 1)}
    for _ in range(2):
        kit.corrections.put(job, {"k0": None})
        assert counted(kit, job) == {3: LabelCount(3), 5: LabelCount(1)}


def test_counts_equal_the_items_after_any_corrections(kit: Kit) -> None:
    job = kit.sealed_job(uploads(6))
    chunk = kit.claim()
    assert kit.chunks.commit(chunk, {key: sure(0.9, number % 3) for number, key in enumerate(names(chunk))})
    changes = st.dictionaries(st.sampled_from(names(chunk)), st.none() | st.integers(0, 4), min_size=1)

    @settings(max_examples=60)
    @given(changes)
    def check(labels: dict[str, int | None]) -> None:
        kit.corrections.put(job, labels)
        for key, label in labels.items():
            assert kit.store.item(job, key).correction == label
        counted(kit, job)
        corrected = any(item.correction is not None for item in kit.results.items(job, 9).items)
        assert (kit.redis.zscore(keys.CORRECTED, job) is not None) == corrected

    check()


def test_unknown_items_count_under_no_label_until_they_are_corrected(kit: Kit) -> None:
    job = kit.sealed_job(uploads(3))
    chunk = kit.chunks.claim("w", RINGS)
    odd = replace(sure(0.4, 3), unknown=True, novelty=0.75)
    assert kit.chunks.commit(chunk, {"k0": sure(0.9, 3), "k1": odd, "k2": odd})

    def found(**wanted) -> list[str]:
        return [item.upload.key for item in kit.results.finished(job, 9, wanted=Filter(**wanted)).items]

    assert (counted(kit, job), kit.corrections.unknown(job)) == ({3: LabelCount(1)}, 2)
    assert (found(unknown=True), found(unknown=False), found(label=3)) == (["k1", "k2"], ["k0"], ["k0"])
    for label in (5, 3, 5):
        kit.corrections.put(job, {"k1": label})
    assert counted(kit, job) == {3: LabelCount(1), 5: LabelCount(1, 1)}
    assert (kit.corrections.unknown(job), found(unknown=True), found(label=5)) == (1, ["k2"], ["k1"])
    kit.corrections.put(job, {"k1": None, "k2": None})
    assert (counted(kit, job), kit.corrections.unknown(job)) == ({3: LabelCount(1)}, 2)
    outcome = kit.store.item(job, "k1").outcome
    assert outcome and (outcome.unknown, outcome.novelty, len(outcome.predictions)) == (True, 0.75, 2)


def test_corrections_are_all_or_nothing(kit: Kit) -> None:
    job = kit.open_job([*uploads(2), upload("refused", failure=REFUSED)])
    assert kit.chunks.commit(kit.claim(), {"k0": sure(), "k1": UNREADABLE})
    kit.store.add(job, [upload("late")], MANY)
    wrong = {"nobody": NotFound, "k1": Conflict, "refused": Conflict, "late": Conflict}
    for key, error in wrong.items():
        with pytest.raises(error, match=key):
            kit.corrections.put(job, {"k0": 1, key: 2})
    with pytest.raises(NotFound, match="job"):
        kit.corrections.put(new_id(), {"k0": 1})
    with pytest.raises(NotFound, match="has no item"):
        kit.corrections.put(kit.sealed_job(uploads(1)), {"zz": 1})
    assert kit.store.item(job, "k0").correction is None
    assert list(kit.corrections.all()) == []


def test_a_retry_keeps_corrections(kit: Kit) -> None:
    job = kit.sealed_job(uploads(2))
    assert kit.chunks.commit(kit.claim(), {"k0": sure(), "k1": UNREADABLE})
    kit.corrections.put(job, {"k0": 1})
    kit.store.retry(job)
    kit.work_off(sure(0.5, 1))
    assert counted(kit, job) == {1: LabelCount(2, 1)}


def test_all_corrected_items_are_listed(kit: Kit) -> None:
    mine = kit.sealed_job(uploads(READ_BATCH + 2, "mine"))
    theirs = kit.sealed_job([replace(each, pack="p#7") for each in uploads(2, "theirs")], owner="ada")
    lost = kit.store.create(JobKind.CLASSIFICATION, retention_s=3600, model="net-2")
    kit.store.add(lost, uploads(1, "lost"), MANY)
    kit.work_off(sure(0.9, 3))
    kit.corrections.put(mine, {f"mine{number}": number % 10 for number in range(READ_BATCH + 1)})
    kit.corrections.put(theirs, {"theirs1": 9})
    kit.corrections.put(lost, {"lost0": 1})
    found = {each.key: each for each in kit.corrections.all()}
    assert len(found) == READ_BATCH + 2
    assert found["mine11"] == Correction(mine, "mine11", upload("mine11").sha256, "b", upload("mine11").sha256)
    ada = [Correction(theirs, "theirs1", upload("theirs1").sha256, "j", "pack-p#7+100")]
    assert list(kit.corrections.all("ada")) == ada
    assert len(list(kit.corrections.all(LOCAL_OWNER))) == READ_BATCH + 1
    kit.store.remove(mine)
    kit.store.forget(mine)
    assert kit.traces(mine) == set()
    assert list(kit.corrections.all()) == ada
