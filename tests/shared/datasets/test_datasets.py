"""Datasets: pages over gaps, deletion and what a crash leaves, orphans, Jobs, and a picture's record."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from shared.datasets import embeddings, pictures, sweep
from shared.datasets.entities import NewPicture, Split
from shared.datasets.files import basis_key, block_folder, dataset_folder, picture_key, report_key
from shared.datasets.labels import Fate
from shared.datasets.picture import flags_of, rest_of, unpack
from shared.datasets.pictures import Change, PictureFilter
from shared.domain.errors import NotFound
from shared.redis import keys
from tests.shared.datasets.kit import DatasetKit, Given, digest

BACKBONE = "tiny-1"


def test_a_record_holds_everything_in_few_bytes() -> None:
    name = "x" * 300 + "/\u00e9\u00e9\U0001f431.jpeg"
    new = NewPicture("k", "ab" * 32, name, 2**32 - 1, "image/heic", 2**32 - 1, 70_000, 65_535)
    record = b"\x01\x00" + bytes([flags_of(Split.TEST, pinned=True, media_type="image/heic")]) + b"\x07\x00\x00\x00"
    found = unpack(9, record + rest_of(new, block=2**32 - 1))
    assert (found.n, found.label, found.split, found.pinned, found.group) == (9, 0, Split.TEST, True, 7)
    assert (found.width, found.height, found.size) == (2**32 - 1, 70_000, 2**32 - 1)
    assert (found.block, found.row, found.sha256) == (2**32 - 1, 65_535, "ab" * 32)
    assert found.media_type == "image/heic"
    assert found.filename.endswith("/éé🐱.jpeg") and len(found.filename.encode()) == 255


def test_a_page_passes_over_deleted_pictures(kit: DatasetKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "READ_BATCH", 4)
    monkeypatch.setattr(pictures, "GAP_LIMIT", 8)
    monkeypatch.setattr(pictures, "SCAN_LIMIT", 5)
    dataset = kit.create()
    added = kit.add(dataset, *(Given(f"{n}") for n in range(40)))
    kit.pictures.delete(dataset, [picture.n for picture in added[2:-2]])
    for newest_first in (False, True):
        found, cursor, pages = [], None, 0
        while pages == 0 or cursor:
            page = kit.pictures.page(dataset, 10, cursor, PictureFilter(filename="PNG"), newest_first=newest_first)
            found, cursor, pages = found + page.pictures, page.next, pages + 1
        assert [picture.n for picture in found] == sorted([1, 2, 39, 40], reverse=newest_first)
        assert 1 < pages < 8


def test_a_page_of_a_dataset_that_is_gone(kit: DatasetKit) -> None:
    dataset = kit.create()
    kit.store.remove(dataset)
    for call in (
        lambda: kit.pictures.page(dataset, 1),
        lambda: kit.pictures.snapshot(dataset),
        lambda: kit.pictures.change(dataset, {1: Change("")}),
        lambda: kit.pictures.delete(dataset, [1]),
        lambda: kit.pictures.reject(dataset, 1, None),
        lambda: kit.labels.add(dataset, ["a"]),
        lambda: kit.labels.delete(dataset, "a", Fate.DELETE),
        lambda: kit.store.get(dataset),
        lambda: kit.store.revision(dataset),
        lambda: kit.store.add_job(dataset, "0" * 32),
    ):
        with pytest.raises(NotFound):
            call()
    assert kit.store.remove(dataset) == [], "a repeat after a lost response"


def test_deleting_many_pictures_takes_several_rounds(kit: DatasetKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "ERASE_BATCH", 3)
    dataset = kit.create("things", "cat")
    kit.add(dataset, *(Given(f"{n}", "cat") for n in range(8)), Given("kept"))
    kit.labels.delete(dataset, "cat", Fate.DELETE)
    rounds = 0
    while kit.sweep.unfinished(10):
        kit.sweep.run()
        rounds += 1
    assert rounds == 3
    assert {key for key in kit.blobs.keys(dataset_folder(dataset)) if len(key.rpartition("/")[2]) == 64} == {
        picture_key(dataset, kit.pictures.blocks(dataset)[0].id, digest("kept"))
    }


def test_embeddings_of_deleted_pictures_are_overwritten(kit: DatasetKit) -> None:
    dataset = kit.create()
    added = kit.add(dataset, *(Given(f"{n}") for n in range(3)))
    (block,) = kit.pictures.blocks(dataset)
    where = kit.blobs, dataset, block.id
    vectors = np.arange(1, 13, dtype=np.float16).reshape(3, 4)
    embeddings.write_embeddings(*where, BACKBONE, vectors)
    embeddings.write_hashes(*where, np.array([1, 2, 3], "u8"), np.array([4, 5, 2**64 - 1], "u8"))
    assert embeddings.read_embedding(*where, BACKBONE, row=2, dimensions=4).tolist() == [9, 10, 11, 12]
    kit.pictures.delete(dataset, [added[1].n])
    with kit.sweep.alone(dataset) as got:
        assert got
        kit.sweep.run()
        assert embeddings.read_embeddings(*where, BACKBONE)[1].any(), "another process may be writing them"
    kit.sweep.run()
    vectors[1] = 0
    assert np.array_equal(embeddings.read_embeddings(*where, BACKBONE), vectors)
    assert [each.tolist() for each in embeddings.read_hashes(*where)] == [[1, 0, 3], [4, 0, 2**64 - 1]]


def test_orphans_are_folders_that_nobody_knows(kit: DatasetKit, tmp_path: Path) -> None:
    dataset = kit.create()
    kit.add(dataset, Given("a"))
    kit.blobs.put(picture_key(dataset, "never-committed", digest("b")), b"b")
    kit.blobs.put(picture_key("unknown", "block", digest("c")), b"c")
    for key in (report_key(dataset), basis_key(dataset)):
        kit.blobs.put(key, b"known")
    assert kit.sweep.orphans(time.time() - 3600) == []
    orphans = sorted([block_folder(dataset, "never-committed"), dataset_folder("unknown")])
    assert sorted(kit.sweep.orphans(time.time() + 3600)) == orphans
    assert (tmp_path / "blobs").exists()


def test_a_dataset_knows_its_unfinished_jobs(kit: DatasetKit) -> None:
    dataset = kit.create()
    ended, running = kit.jobs.open_job(), kit.jobs.open_job()
    kit.jobs.store.cancel(ended)
    for job in (ended, running, running):
        kit.store.add_job(dataset, job)
    assert kit.store.jobs(dataset) == [running]
    chunk = kit.claim(Given("a"))
    kit.store.add_job(dataset, chunk.job_id)
    kit.commit(dataset, chunk, Given("a"))
    assert kit.store.jobs(dataset) == [running]
    assert kit.store.remove(dataset) == [running]


def test_a_removed_dataset_leaves_no_key(kit: DatasetKit) -> None:
    before = set(kit.redis.scan_iter())
    dataset = kit.create("things", "cat", owner="ann")
    added = kit.add(dataset, Given("a", "cat"), Given("b", near=("a",)), Given("c", "dog"), Given("d", "dog"))
    for picture in (added[2], added[3]):
        assert kit.pictures.reject(dataset, picture.n, "cat")
    kit.pictures.delete(dataset, [added[0].n, added[2].n])
    assert list(kit.pictures.rejections(dataset)) == [added[3].n]
    kit.store.remove(dataset)
    kit.sweep.run()
    left = {key for key in set(kit.redis.scan_iter()) - before if "dataset" in key}
    assert left == set()
    assert not kit.redis.exists(keys.UNFINISHED_DATASETS)
