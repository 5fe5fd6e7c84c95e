"""After any order of calls on a Dataset, its counts and indexes equal its pictures, and no Group is on both sides."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cli.stack.embedded_redis import redis_server_path
from shared.datasets.entities import CommitState, Picture, Split
from shared.datasets.files import HASHES, block_folder, dataset_folder, picture_key, thumbnail_key
from shared.datasets.labels import Fate
from shared.datasets.pictures import Change, PictureFilter
from shared.redis import keys
from shared.redis.connection import Client, connect
from shared.storage.blobs import BlobStore
from tests.conftest import running_redis
from tests.shared.datasets.kit import DatasetKit, Given, digest

CONTENTS = st.sampled_from("abcdefghij")
NAMES = st.sampled_from(["cat", "dog", "fox", "owl"])
GIVEN = st.builds(
    Given,
    CONTENTS,
    st.none() | NAMES,
    st.lists(CONTENTS, max_size=2, unique=True).map(tuple),
)
FILTERS = (PictureFilter(), PictureFilter(labelled=False), PictureFilter(label=0), PictureFilter(split=Split.TEST))


class DatasetMachine(RuleBasedStateMachine):
    """Imports, changes, deletions and crashes, in any order, beside a model of what must be there."""

    def __init__(self, client: Client, folder: Path) -> None:
        super().__init__()
        client.flushall()
        self.kit = DatasetKit(client, BlobStore.open(None, folder))
        self.dataset = self.kit.create()
        #: Label by content; Groups of contents; index by Label; all indices that were ever given; Split by content.
        self.labels: dict[str, str | None] = {}
        self.groups: list[set[str]] = []
        self.indices: dict[str, int] = {}
        self.given_indices: set[int] = set()
        self.numbers: set[int] = set()
        self.splits: dict[str, tuple[int, Split | None]] = {}
        self.revision = -1

    @initialize(names=st.lists(NAMES, unique=True))
    def begin(self, names: list[str]) -> None:
        for name, index in zip(names, self.kit.labels.add(self.dataset, names), strict=True):
            self.learn(name, index)

    def learn(self, name: str, index: int) -> None:
        assert index not in self.given_indices, "an index was given twice"
        self.given_indices.add(index)
        self.indices[name] = index

    @rule(pictures=st.lists(GIVEN, min_size=1, max_size=4))
    def add(self, pictures: list[Given]) -> None:
        added, before = set(), dict(self.labels)
        self.kit.add(self.dataset, *pictures)
        for each in pictures:
            if each.content not in self.labels:
                self.groups.append({each.content})
                added.add(each.content)
                self.labels[each.content] = None
        first = {each.content: each for each in reversed(pictures)}
        for content in added:
            near = [other for other in first[content].near if other in self.labels]
            self.unite(content, near)
        for each in pictures:
            self.labels[each.content] = self.labels[each.content] or each.label
        for name in sorted({each.label for each in pictures if each.label} - set(self.indices)):
            if any(self.labels[c] == name and before.get(c) != name for c in self.labels):
                self.learn(name, self.kit.labels.index(self.dataset, name))

    def unite(self, content: str, near: list[str]) -> None:
        joined = [group for group in self.groups if group & {content, *near}]
        self.groups = [group for group in self.groups if group not in joined] + [set().union(*joined)]

    @rule(pictures=st.lists(GIVEN, min_size=1, max_size=2))
    def behind(self, pictures: list[Given]) -> None:
        """Commit after another worker has added a Block: nothing changes."""
        chunk = self.kit.claim(*pictures)
        seen = len(self.kit.pictures.blocks(self.dataset)) + 1
        assert self.kit.commit(self.dataset, chunk, *pictures, seen=seen).state is CommitState.BEHIND
        assert self.kit.jobs.chunks.release(chunk.id) == len(pictures)
        self.kit.jobs.store.cancel(chunk.job_id)

    @precondition(lambda self: self.labels)
    @rule(data=st.data(), split=st.none() | st.sampled_from(Split))
    def change(self, data: st.DataObject, split: Split | None) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.labels)), min_size=1, max_size=3, unique=True))
        name = data.draw(st.none() | st.sampled_from(["", *sorted(self.indices)]))
        self.kit.pictures.change(self.dataset, {self.number(c): Change(name, split) for c in chosen})
        for content in chosen:
            if name is not None:
                self.labels[content] = name or None
            if split is not None:
                found = self.kit.pictures.get(self.dataset, self.number(content))
                assert (found.split, found.pinned) == (split, True)

    @precondition(lambda self: self.labels)
    @rule(data=st.data(), sweep=st.booleans())
    def delete(self, data: st.DataObject, sweep: bool) -> None:
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.labels)), min_size=1, max_size=3, unique=True))
        numbers = [self.number(content) for content in chosen]
        for _ in range(2):  # a repeat, as after a lost response
            self.kit.pictures.delete(self.dataset, numbers)
        self.forget(chosen)
        if sweep:
            self.sweep()

    @precondition(lambda self: self.indices)
    @rule(data=st.data(), new=st.sampled_from(["cat", "dog", "fox", "owl", "elk"]))
    def rename(self, data: st.DataObject, new: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.indices)))
        if new in self.indices and new != name:
            return
        self.kit.labels.rename(self.dataset, name, new)
        self.indices[new] = self.indices.pop(name)
        self.labels = {content: new if label == name else label for content, label in self.labels.items()}

    @precondition(lambda self: self.indices)
    @rule(data=st.data(), crash=st.booleans(), fate=st.sampled_from([*Fate, None]))
    def move(self, data: st.DataObject, crash: bool, fate: Fate | None) -> None:
        """Delete a Label, or merge it into another one, perhaps with a crash after the first picture."""
        name = data.draw(st.sampled_from(sorted(self.indices)))
        others = sorted(set(self.indices) - {name})
        if fate is None and not others:
            return
        into = data.draw(st.sampled_from(others)) if fate is None else None
        del self.indices[name]
        moved = [content for content, label in self.labels.items() if label == name]
        if crash:
            words = (self.dataset, "0" * 32, name, into or "", "1" if fate is Fate.DELETE else "0")
            assert self.kit.labels._scripts.run("dataset_begin_move", *words) == "begun"
            self.kit.labels._scripts.run("dataset_move", self.dataset, 1)
        elif into:
            self.kit.labels.merge(self.dataset, name, into)
        else:
            self.kit.labels.delete(self.dataset, name, fate)
        if fate is Fate.DELETE:
            self.forget(moved)
        else:
            self.labels |= dict.fromkeys(moved, into)
        self.what_readers_see()
        self.sweep()

    @rule()
    def sweep(self) -> None:
        self.kit.sweep.run()
        assert self.kit.sweep.unfinished(10) == []
        pictures = self.pictures()
        ids = {block.number: block.id for block in self.kit.pictures.blocks(self.dataset)}
        expected = {
            name(self.dataset, ids[p.block], p.sha256) for p in pictures for name in (picture_key, thumbnail_key)
        }
        stored = set(self.kit.blobs.keys(dataset_folder(self.dataset)))
        assert {key for key in stored if not key.endswith(HASHES)} == expected
        for block in ids.values():
            self.hashes_of_deleted_pictures_are_zero(block, {p.row for p in pictures if ids[p.block] == block})

    def hashes_of_deleted_pictures_are_zero(self, block: str, rows: set[int]) -> None:
        content = self.kit.blobs.get(f"{block_folder(self.dataset, block)}/{HASHES}")
        half = len(content) // 2
        for row in range(half // 8):
            for start in (row * 8, half + row * 8):
                assert any(content[start : start + 8]) == (row in rows)

    @rule()
    def remove_all(self) -> None:
        """Remove the Dataset and make another one of the same name."""
        old = self.dataset
        self.kit.store.remove(old)
        self.dataset = self.kit.create()
        self.kit.sweep.run()
        assert self.kit.blobs.keys(dataset_folder(old)) == []
        assert not list(self.kit.redis.scan_iter(f"darkroom:dataset:{old}*", count=1000))
        self.labels, self.groups, self.indices, self.given_indices = {}, [], {}, set()
        self.numbers, self.splits, self.revision = set(), {}, -1

    def forget(self, contents: list[str]) -> None:
        for content in contents:
            del self.labels[content]
            self.splits.pop(content, None)
        self.groups = [left for group in self.groups if (left := group - set(contents))]

    def number(self, content: str) -> int:
        return self.kit.pictures.find(self.dataset, [digest(content)])[digest(content)].n

    def pictures(self) -> tuple[Picture, ...]:
        return self.kit.pictures.snapshot(self.dataset).pictures

    @invariant()
    def what_readers_see(self) -> None:
        snapshot = self.kit.pictures.snapshot(self.dataset)
        names = {index: name for name, index in self.indices.items()}
        assert snapshot.labels == names
        seen = {picture.filename.removesuffix(".png"): picture for picture in snapshot.pictures}
        labels = {c: None if p.label is None else names[p.label] for c, p in seen.items()}
        assert labels == self.labels
        found = self.kit.store.get(self.dataset)
        sides = Counter((p.label, p.split) for p in snapshot.pictures if p.label is not None)
        assert {label.index: (label.train, label.test) for label in found.labels} == {
            index: (sides[index, Split.TRAIN], sides[index, Split.TEST]) for index in names
        }
        assert found.unlabelled == list(labels.values()).count(None)
        assert found.revision >= self.revision
        self.revision = found.revision
        self.no_picture_enters_the_test_unless_pinned(seen)

    def no_picture_enters_the_test_unless_pinned(self, seen: dict[str, Picture]) -> None:
        for content, picture in seen.items():
            if self.splits.get(content) == (picture.n, Split.TRAIN) and picture.split is Split.TEST:
                assert picture.pinned
            self.splits[content] = picture.n, picture.split

    @invariant()
    def the_indexes_equal_the_records(self) -> None:
        pictures, redis = self.pictures(), self.kit.redis
        part = lambda name: keys.dataset(self.dataset, name)  # noqa: E731
        by_label = {int(n): int(score) for n, score in redis.zrange(part("by-label"), 0, -1, withscores=True)}
        assert by_label == {p.n: (0 if p.label is None else p.label + 1) * 2**32 + p.n for p in pictures}
        assert {p.sha256: p for p in pictures} == self.kit.pictures.find(self.dataset, [p.sha256 for p in pictures])
        assert sum(map(redis.hlen, redis.scan_iter(part("digests:*"), count=1000))) == len(pictures)
        counted = {name: int(count) for name, count in redis.hgetall(part("counts")).items()}
        codes = Counter(f"{0 if p.label is None else p.label + 1}:{p.split or 'none'}" for p in pictures)
        assert counted == codes
        record = redis.hgetall(part(None))
        assert (int(record["pictures"]), int(record["bytes"])) == (len(pictures), sum(p.size for p in pictures))
        new = {p.n for p in pictures} - self.numbers
        assert not new or not self.numbers or min(new) > max(self.numbers), "a number was given twice"
        self.numbers |= new

    @invariant()
    def each_group_is_on_one_side(self) -> None:
        groups = defaultdict(list)
        for picture in self.pictures():
            groups[picture.group].append(picture)
            assert picture.label is None or picture.split is not None
        contents = [{p.filename.removesuffix(".png") for p in group} for group in groups.values()]
        assert sorted(map(sorted, contents)) == sorted(map(sorted, self.groups))
        indexed = self.kit.redis.zrange(keys.dataset(self.dataset, "groups"), 0, -1, withscores=True)
        several = {p.n: n for n, group in groups.items() for p in group if len(group) > 1}
        assert {int(n): int(group) for n, group in indexed} == several
        for n, group in groups.items():
            assert len({(p.split, p.pinned) for p in group}) == 1
            assert len(group) > 1 or n == group[0].n

    @invariant()
    def pages_have_each_picture_once(self) -> None:
        pictures = self.pictures()
        for newest_first in (False, True):
            for wanted in (
                PictureFilter(),
                PictureFilter(labelled=False),
                PictureFilter(label=0),
                PictureFilter(split=Split.TEST),
            ):
                found, cursor = [], None
                while True:
                    page = self.kit.pictures.page(self.dataset, 3, cursor, wanted, newest_first=newest_first)
                    found += page.pictures
                    cursor = page.next
                    if cursor is None:
                        break
                expected = [p for p in pictures if wanted.matches(p)]
                assert found == (expected[::-1] if newest_first else expected)

    def teardown(self) -> None:
        self.kit.close()


def test_no_order_of_calls_breaks_a_dataset(tmp_path: Path) -> None:
    with running_redis(redis_server_path(), tmp_path) as url, closing(connect(url)) as client:
        steps = settings(max_examples=min(25, settings().max_examples), stateful_step_count=20)

        def machine() -> DatasetMachine:
            return DatasetMachine(client, Path(tempfile.mkdtemp(dir=tmp_path)))

        run_state_machine_as_test(machine, settings=steps)
