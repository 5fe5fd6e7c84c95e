"""The disk loses or changes files, is read-only or full during jobs of 1,000 pictures. Mounting disks takes root."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from shared.domain.card import OPENVINO_FILE
from shared.models.versions import PREFIX
from shared.services import Services
from shared.settings import Settings
from shared.storage.blobs import RESERVE_BYTES
from tests.conftest import wait_until
from tests.faults.checks import Expected, check_deleted, check_results
from tests.faults.harm import paused
from tests.faults.kit import PICTURES, SPARE, Arena, pictures
from tests.faults.tiny import tiny_network
from tests.integration.helpers import finished, open_job, png, problem, put, redis_of, submit, zip_of
from web.uploads.pack import PACKED_BYTES


@pytest.fixture
def arena(cramped: Arena) -> Arena:
    return cramped


def begun(arena: Arena, content: bytes | None = None) -> str:
    """Submit a job and wait until its first chunk is done; return its id."""
    with paused(arena):
        job_id = arena.submit(content)
    arena.begun(job_id)
    return job_id


def folder_of(arena: Arena, job_id: str) -> Path:
    """Return the folder of a job's pictures."""
    return arena.service.data_dir / "blobs" / "jobs" / job_id


def cut_off(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def in_the_middle(pack: bytes, contents: dict[str, bytes]) -> str:
    """Return the name of the picture that has the middle byte of a pack."""
    starts = {name: pack.find(content) for name, content in contents.items()}
    (name,) = [name for name, start in starts.items() if 0 <= start <= len(pack) // 2 < start + len(contents[name])]
    return name


def become_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def become_unreadable(file: Path) -> None:
    """Replace the file with something that cannot be opened, even by root (ENXIO)."""
    file.unlink()
    os.mknod(file, stat.S_IFSOCK | 0o600)


#: Damages to a stored picture, and the error code of its item.
DAMAGES: tuple[tuple[Callable[[Path], None], str], ...] = (
    (Path.unlink, "missing"),
    (become_a_folder, "missing"),
    (cut_off, "changed"),
    (flip_a_bit, "changed"),
    (become_unreadable, "unreadable"),
)


def test_what_happens_to_a_stored_picture_costs_that_picture_only(arena: Arena, expected: Expected) -> None:
    """Given pictures that are damaged on the disk, then they alone fail, and can be retried once restored.

    Those that are too big for a pack have files of their own; in a pack one byte changes.
    """
    names = sorted(pictures())
    victims = names[-200::40]  # in the last chunk
    good = {name: pictures()[name] + bytes(PACKED_BYTES if name in victims else 0) for name in names}
    job_id = begun(arena, zip_of(*good.items()))
    folder = folder_of(arena, job_id)
    files = [folder / hashlib.sha256(good[each]).hexdigest() for each in victims]
    pack = next(file for file in folder.glob("pack-*") if good[names[-1]] in file.read_bytes())
    whole = pack.read_bytes()
    with paused(arena):
        for (damage, _), file in zip(DAMAGES, files, strict=True):
            damage(file)
        flip_a_bit(pack)
    codes = dict(zip(victims, [code for _, code in DAMAGES], strict=True))
    codes[in_the_middle(whole, good)] = "changed"
    check_results(arena, job_id, expected, codes)
    for victim, file in zip(victims, files, strict=True):
        if file.is_dir():
            file.rmdir()
        file.unlink(missing_ok=True)
        file.write_bytes(good[victim])
    pack.write_bytes(whole)
    assert arena.http.post(f"/v1/jobs/{job_id}/retry").status_code == 202
    check_results(arena, job_id, expected)
    check_deleted(arena, job_id)
    print(f"of {PICTURES:,} pictures those that were damaged failed: {codes}; brought back, they were classified")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Make the folder read-only while the block runs."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_read_only_disk_refuses_uploads_and_fails_no_job(arena: Arena, expected: Expected) -> None:
    """Given a data folder that becomes read-only, then a running job ends, and deleted files are removed later."""
    job_id = begun(arena)
    stored = len(list(folder_of(arena, job_id).iterdir()))
    with read_only(arena.service.data_dir), arena.service.client() as http:
        problem(http.post("/v1/jobs", content=png(), headers={"Content-Type": "image/png"}), 503)
        assert http.get("/readyz").json()["checks"]["storage"]["ok"] is False
        check_results(arena, job_id, expected)
        assert http.delete(f"/v1/jobs/{job_id}").status_code == 204
        assert len(list((folder_of(arena, job_id)).iterdir())) == stored > 0
    wait_until(lambda: not (folder_of(arena, job_id)).exists(), "the bytes are deleted")
    print(f"{PICTURES:,} pictures were classified from a read-only disk, and deleted when it was writable again")


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fill the disk to the last byte while the block runs."""
    wait_until(lambda: resized(disk, used_bytes(disk)), "the disk is full")
    try:
        yield
    finally:
        assert resized(disk, RESERVE_BYTES + SPARE)


def used_bytes(disk: Path) -> int:
    numbers = os.statvfs(disk)
    return (numbers.f_blocks - numbers.f_bfree) * numbers.f_frsize


def resized(disk: Path, size: int) -> bool:
    """Resize the disk; return False if more is stored on it."""
    command = ["mount", "-o", f"remount,size={size}", disk]
    return subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0


def test_a_full_disk_holds_a_job_up_and_fails_no_picture(arena: Arena, disk: Path, expected: Expected) -> None:
    """Given a disk that is too full even for Redis's writes, then the job waits, and continues later.

    Meanwhile Redis refuses writes (`appendfsync everysec`), or exits at each start (`always`).
    """
    job_id = begun(arena)
    with redis_of(arena.service) as client, arena.service.client() as http:
        client.config_set("appendfsync", "everysec")
        with full(disk):
            wait_until(lambda: refuses(client), "Redis takes no writes")
            problem(http.post("/v1/jobs", content=png(), headers={"Content-Type": "image/png"}), 503)
            wait_until(lambda: "MISCONF" in arena.service.log(), "a worker has tried")
            job = http.get(f"/v1/jobs/{job_id}").json()
        assert (job["state"], job["counts"]["failed"]) == ("running", 0)
        wait_until(lambda: not refuses(client), "Redis takes writes again")
        client.config_set("appendfsync", "always")
        with full(disk):
            wait_until(lambda: arena.service.log().count("exited: redis") >= 2, "Redis has ended twice")
    check_results(arena, job_id, expected)
    check_deleted(arena, job_id)
    print(f"the disk was full twice, and later all {PICTURES:,} pictures were classified")


def test_a_model_that_is_damaged_after_it_was_published_fails_its_own_jobs_only(
    arena: Arena, model: Path, tmp_path: Path
) -> None:
    """Given a damaged champion, then its jobs fail with the reason, jobs of the old one end, and a repair helps."""
    settings = Settings(redis_url="redis://127.0.0.1:1/0", data_dir=arena.service.data_dir)
    version = Services.build(settings).registry.publish(tiny_network(tmp_path, b"another")).version
    file = arena.service.data_dir / "blobs" / PREFIX / version / OPENVINO_FILE
    whole, pinned = file.read_bytes(), open_job(arena.http)
    flip_a_bit(file)
    arena.promote(version)
    failed = finished(arena.http, submit(arena.http, ("a.png", png())))
    assert (failed["model"], failed["state"], failed["error"]["code"]) == (version, "failed", "model_unusable")
    assert f"{OPENVINO_FILE} of model {version} is damaged" in failed["error"]["detail"]
    wait_until(lambda: version in arena.service.log(), "the log says it too")
    assert put(arena.http, pinned, "a", png()).status_code == 201
    arena.http.post(f"/v1/jobs/{pinned}/seal")
    assert finished(arena.http, pinned)["counts"]["succeeded"] == 1
    file.write_bytes(whole)
    assert arena.http.post(f"/v1/jobs/{failed['id']}/retry").status_code == 202
    assert finished(arena.http, failed["id"])["counts"]["succeeded"] == 1
    arena.promote(model.name)
    print(
        f"{failed['error']['detail']}; a job of the old champion went on, and with the file mended the new one serves"
    )


def refuses(client: redis.Redis) -> bool:
    """Tell whether Redis refuses writes."""
    try:
        client.set("darkroom:probe", "x", px=1)
    except redis.ResponseError as error:
        return str(error).startswith("MISCONF")
    return False
