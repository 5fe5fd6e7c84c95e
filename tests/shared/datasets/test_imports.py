"""The commit of an import: outcomes of its Items, Splits, Groups, and what happens if something has changed."""

from __future__ import annotations

import math

import pytest

from shared.datasets import imports
from shared.datasets.entities import CommitState, Picture, Split
from shared.datasets.pictures import Change
from shared.domain.entities import Chunk, Imported, ImportOutcome, ItemState
from shared.redis import keys
from tests.shared.datasets.kit import DatasetKit, Given, digest

ADDED, PRESENT, CONFLICT = ImportOutcome


def imported(kit: DatasetKit, chunk: Chunk) -> list[Imported | None]:
    """Return what became of each Item, in order."""
    return [item.outcome.imported for item in kit.results.items(chunk.job_id, 100).items]


def failures(kit: DatasetKit, chunk: Chunk) -> list[str | None]:
    outcomes = [item.outcome for item in kit.results.items(chunk.job_id, 100).items]
    return [outcome.failure.code if outcome.state is ItemState.FAILED else None for outcome in outcomes]


def splits(kit: DatasetKit, dataset: str) -> dict[str, tuple[Split | None, bool]]:
    """Return the Split of each picture and whether it is pinned."""
    return {p.filename[:-4]: (p.split, p.pinned) for p in kit.pictures.snapshot(dataset).pictures}


def groups(kit: DatasetKit, dataset: str) -> set[str]:
    found: dict[int, str] = {}
    for picture in kit.pictures.snapshot(dataset).pictures:
        found[picture.group] = found.get(picture.group, "") + picture.filename[:-4]
    return set(found.values())


def test_each_item_says_what_became_of_its_picture(kit: DatasetKit) -> None:
    dataset = kit.create("things", "cat")
    kit.add(dataset, Given("old", "cat"), Given("plain"))
    given = (
        Given("new", "dog"),
        Given("new", "dog"),
        Given("new", "cat"),
        Given("old", "cat"),
        Given("old"),
        Given("old", "dog"),
        Given("plain", "cat"),
    )
    chunk = kit.claim(*given)
    kit.commit(dataset, chunk, *given)
    assert imported(kit, chunk) == [
        Imported(ADDED, 3),
        Imported(PRESENT, 3),
        Imported(CONFLICT, 3, "dog"),
        Imported(PRESENT, 1),
        Imported(PRESENT, 1),
        Imported(CONFLICT, 1, "cat"),
        Imported(PRESENT, 2),
    ]
    labels = {p.filename: p.label for p in kit.pictures.snapshot(dataset).pictures}
    assert labels == {"old.png": 0, "plain.png": 0, "new.png": 1}
    assert kit.labels.names(dataset) == {0: "cat", 1: "dog"}
    assert kit.jobs.store.get(chunk.job_id).state.done


def test_a_repeated_commit_changes_nothing(kit: DatasetKit) -> None:
    dataset, given = kit.create(), Given("a", "cat")
    chunk = kit.claim(given)
    first = kit.commit(dataset, chunk, given)
    before = kit.pictures.snapshot(dataset)
    new = imports.NewPicture("k0", digest("a"), "a.png", 100, "image/png", 1, 1, row=0, label="cat")
    assert kit.imports.commit(chunk, dataset, 0, 1, {"k0": new}) == first
    assert first.added == {digest("a")}
    assert kit.pictures.snapshot(dataset) == before


def test_a_lost_lease_changes_nothing(kit: DatasetKit) -> None:
    dataset, given = kit.create(), Given("a", "cat")
    chunk = kit.claim(given)
    kit.jobs.chunks.release(chunk.id)
    assert kit.commit(dataset, chunk, given).state is CommitState.STALE
    assert kit.store.get(dataset).pictures == 0
    assert kit.pictures.blocks(dataset) == []


def test_a_worker_that_has_not_seen_everything_is_behind(kit: DatasetKit) -> None:
    """Given two workers with near copies, When both commit, Then the second one must compare with the first's Block."""
    dataset, one, other = kit.create(), Given("a", "cat"), Given("b", "cat", near=("a",))
    first, second = kit.claim(one), kit.claim(other)
    kit.commit(dataset, first, one)
    assert kit.commit(dataset, second, other, seen=0).state is CommitState.BEHIND
    assert kit.jobs.chunks.renew(second.id), "its lease still holds"
    assert kit.commit(dataset, second, other).state is CommitState.COMMITTED
    assert groups(kit, dataset) == {"ab"}


def test_a_picture_that_was_deleted_since_the_worker_looked_is_added_anew(kit: DatasetKit) -> None:
    dataset, given = kit.create(), Given("a", "cat")
    (picture,) = kit.add(dataset, given)
    chunk = kit.claim(given)
    without_row = imports.NewPicture("k0", digest("a"), "a.png", 100, "image/png", 1, 1, row=None)
    kit.pictures.delete(dataset, [picture.n])
    assert kit.imports.commit(chunk, dataset, 1, 0, {"k0": without_row}).state is CommitState.BEHIND
    assert kit.commit(dataset, chunk, given).added == {digest("a")}
    assert [p.n for p in kit.pictures.snapshot(dataset).pictures] == [2]


def test_what_has_no_room_fails_and_the_rest_is_added(kit: DatasetKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MAX_PICTURES", 3)
    monkeypatch.setattr(imports, "MAX_LABELS", 2)
    dataset = kit.create("things", "cat")
    given = Given("a", "dog"), Given("b", "fox"), Given("c", "cat"), Given("d"), Given("e"), Given("d", "owl")
    chunk = kit.claim(*given)
    assert kit.commit(dataset, chunk, *given).added == {digest("a"), digest("c"), digest("d")}
    expected = [None, "too_many_labels", None, None, "dataset_full", "too_many_labels"]
    assert failures(kit, chunk) == expected
    assert kit.labels.names(dataset) == {0: "cat", 1: "dog"}


def test_one_picture_in_five_goes_to_the_test(kit: DatasetKit) -> None:
    """Given Labels of any size, Then each has between n / 5 rounded down and n / 5 rounded up in the test."""
    dataset = kit.create("things", "cat", "dog")
    chosen = []
    for n in range(1, 42):
        added = kit.add(dataset, Given(f"cat {n}", "cat"), Given(f"dog {n}", "dog"))
        chosen.append([picture.split for picture in added])
        for label in kit.store.get(dataset).labels:
            assert label.pictures == n
            assert math.floor(n / 5) <= label.test <= math.ceil(n / 5)
    assert [a for a, _ in chosen] != [b for _, b in chosen], "the hash decides which ones"


def test_the_split_does_not_depend_on_other_labels_or_datasets(kit: DatasetKit) -> None:
    one, other = kit.create("one"), kit.create("other", "dog")
    kit.add(other, *(Given(f"dog {n}", "dog") for n in range(3)))
    pictures = [Given(f"cat {n}", "cat") for n in range(20)]
    assert [p.split for p in kit.add(one, *pictures)] == [p.split for p in kit.add(other, *pictures)]


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        (((Split.TRAIN, False), (Split.TEST, False)), (Split.TRAIN, False)),
        (((Split.TEST, False), (Split.TEST, False)), (Split.TEST, False)),
        (((Split.TEST, True), (Split.TRAIN, False)), (Split.TEST, True)),
        (((Split.TRAIN, False), (Split.TEST, True)), (Split.TEST, True)),
        (((Split.TRAIN, True), (Split.TEST, True)), (Split.TRAIN, True)),
        (((None, False), (Split.TEST, False)), (Split.TEST, False)),
        (((Split.TEST, False), (None, False)), (Split.TEST, False)),
    ],
)
def test_two_groups_become_one_on_one_side(
    kit: DatasetKit, sides: tuple[tuple[Split | None, bool], ...], expected: tuple[Split, bool]
) -> None:
    """Given two Groups with these Splits, When a near copy of both is added, Then all are on one side."""
    dataset = kit.create("things", "cat")
    (a, aa), (b, bb) = (
        (Given(name, split=split, pinned=pinned), Given(name * 2, near=(name,)))
        for name, (split, pinned) in zip("ab", sides, strict=True)
    )
    kit.add(dataset, a, aa, b, bb)
    assert groups(kit, dataset) == {"aaa", "bbb"}
    kit.add(dataset, Given("c", "cat", near=("aa", "b")))
    assert groups(kit, dataset) == {"aaabbbc"}
    assert set(splits(kit, dataset).values()) == {expected}


def test_a_group_decides_once_and_keeps_its_side(kit: DatasetKit) -> None:
    dataset = kit.create("things", "cat")
    first, second = kit.add(dataset, Given("a"), Given("b", near=("a",)))
    assert (first.split, second.split) == (None, None)
    kit.pictures.change(dataset, {first.n: Change("cat")})
    side = kit.pictures.get(dataset, second.n).split
    assert side == kit.pictures.get(dataset, first.n).split is not None
    kit.pictures.change(dataset, {first.n: Change("")})
    kit.pictures.delete(dataset, [first.n])
    left: Picture = kit.pictures.get(dataset, second.n)
    assert (left.split, left.group, left.label) == (side, second.n, None)
    assert kit.redis.exists(keys.dataset(dataset, "groups")) == 0
