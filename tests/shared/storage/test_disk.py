"""Disk usage of the data folder."""

from __future__ import annotations

import pytest

from shared.domain.errors import NotFound
from shared.storage.disk import Disk


def test_all_files_below_the_folder_are_counted(tmp_path):
    (tmp_path / "blobs" / "jobs").mkdir(parents=True)
    (tmp_path / "blobs" / "jobs" / "one").write_bytes(b"a" * 1000)
    (tmp_path / "log").write_bytes(b"b" * 50)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    state = Disk(tmp_path).state()
    link = (tmp_path / "link").lstat().st_size
    assert state.used == 1050 + link and 0 < state.free < state.total


def test_the_count_is_cached(tmp_path):
    disk = Disk(tmp_path)
    assert disk.state().used == 0
    (tmp_path / "new").write_bytes(b"a")
    assert disk.state().used == 0 and Disk(tmp_path).state().used == 1


def test_a_missing_folder_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        Disk(tmp_path / "gone").state()
