"""Disks that are full or read-only, and a process that is killed during a write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.domain.errors import NotFound, StorageFull
from shared.storage.blobs import RESERVE_BYTES, BlobStore
from tests.conftest import ROOT, wait_until
from tests.programs import need_mounts

MIB = 1024 * 1024

PUT_UNTIL_FULL = """
import io, shutil, sys, time
from pathlib import Path
from obstore.store import LocalStore
from shared.storage.blobs import BlobStore
from shared.domain.errors import StorageFull

folder = Path(sys.argv[1])
blobs = BlobStore(LocalStore(folder, automatic_cleanup=True))
blobs.put("jobs/1/small", b"kept")
for content in (bytes(30 * 2**20), io.BytesIO(bytes(30 * 2**20))):
    try:
        blobs.put("jobs/1/big", content)
    except StorageFull as error:
        print(error)
    assert not blobs.exists("jobs/1/big")
    assert blobs.get("jobs/1/small") == b"kept"
    given_up = time.monotonic() + 30
    while shutil.disk_usage(folder).free < 10 * 2**20 and time.monotonic() < given_up:
        time.sleep(0.01)  # obstore removes and closes its unfinished files in the background
blobs.put("jobs/1/fits", bytes(2**20))
print(sorted(path.name for path in folder.rglob("*") if path.is_file()))
"""

CHECK_FREE_SPACE = """
import sys
from pathlib import Path
from shared.storage.blobs import BlobStore
from shared.domain.errors import StorageFull

blobs = BlobStore.open(None, Path(sys.argv[1]))
for write in (lambda: blobs.put("k", b"x"), blobs.check_free_space, blobs.check_writable):
    try:
        write()
    except StorageFull as error:
        print(error)
print(blobs.exists("k"))
"""

READ_ONLY = """
import sys
from pathlib import Path
from obstore.store import LocalStore
from shared.storage.blobs import BlobStore
from shared.domain.errors import Unavailable

folder = Path(sys.argv[1])
blobs = BlobStore(LocalStore(folder))
for write in (lambda: blobs.put("k", b"x"), blobs.check_writable, lambda: BlobStore.open(None, folder)):
    try:
        write()
    except Unavailable as error:
        print("Read-only" in str(error))
print(blobs.exists("k"), blobs.delete_all("jobs/1"))
"""

PUT_MUCH = """
import sys
from pathlib import Path
from shared.storage.blobs import BlobStore

with open(sys.argv[2], "rb") as file:
    BlobStore.open(None, Path(sys.argv[1])).put("jobs/1/big", file)
"""


def on_a_disk(options: str, script: str, folder: Path) -> list[str]:
    """Return the lines that the Python `script` prints with `folder` on a small disk, which ends with the process."""
    need_mounts("--map-root-user")
    mounted = f'mount -t tmpfs -o {options} tmpfs "$1" && exec "$2" -c "$3" "$1"'
    words = ["unshare", "--map-root-user", "--mount", "sh", "-c", mounted, "sh", str(folder), sys.executable, script]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_a_full_disk_rejects_a_blob_and_keeps_no_part_of_it(tmp_path: Path) -> None:
    *errors, files = on_a_disk("size=20m", PUT_UNTIL_FULL, tmp_path)
    assert files == "['fits', 'small']" and ["full" in error for error in errors] == [True, True]


def test_a_disk_below_the_reserve_rejects_writes(tmp_path: Path) -> None:
    *errors, exists = on_a_disk(f"size={RESERVE_BYTES - MIB}", CHECK_FREE_SPACE, tmp_path)
    assert exists == "False" and ["255 MiB left" in error for error in errors] == [True] * 3


def test_a_write_that_would_use_the_reserve_is_rejected(tmp_path: Path) -> None:
    blobs = BlobStore.open(None, tmp_path)
    blobs.check_free_space(MIB)
    with pytest.raises(StorageFull, match="MiB left"):
        blobs.check_free_space(2**60)


def test_a_read_only_disk_is_unavailable(tmp_path: Path) -> None:
    assert on_a_disk("ro", READ_ONLY, tmp_path) == ["True", "True", "True", "False 0"]


def test_a_killed_writer_leaves_no_blob_and_deleting_the_job_removes_its_bytes(tmp_path: Path) -> None:
    blobs = BlobStore.open(None, tmp_path)
    blobs.put("jobs/1/other", b"x")
    folder = tmp_path / "blobs" / "jobs" / "1"
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(2048 * MIB)  # sparse; takes seconds to copy
    writer = subprocess.Popen([sys.executable, "-c", PUT_MUCH, str(tmp_path), str(source)], cwd=ROOT)
    try:
        wait_until(lambda: sum(path.stat().st_size for path in folder.iterdir()) > 6 * MIB, "a part is written")
    finally:
        writer.kill()
        writer.wait()
    assert not blobs.exists("jobs/1/big")
    with pytest.raises(NotFound):
        blobs.get("jobs/1/big")
    blobs.delete_all("jobs/1")
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


def test_deleting_a_job_leaves_no_files(tmp_path: Path) -> None:
    blobs = BlobStore.open(None, tmp_path)
    for number in range(3):
        blobs.put(f"jobs/1/{number}", b"x")
    assert blobs.delete_all("jobs/1") == 3
    assert list((tmp_path / "blobs").iterdir()) == []
    blobs.put("jobs/2/a", b"x")
    assert blobs.get("jobs/2/a") == b"x"
