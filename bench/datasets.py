"""Cost of a Dataset of 100,000 pictures: memory in Redis, and calls compared with those on one of 100 pictures.

    python -m bench.datasets

The calls go through the app in this process, without a network, so that the ratios are not flattered. The pictures are
committed as by a worker, but have no bytes.
"""

from __future__ import annotations

import hashlib
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench.table import Figures, Goal, Row, heading, line, ratio
from cli.stack.embedded_redis import free_port, redis_server_path
from shared.datasets.entities import NewPicture
from shared.datasets.pictures import MAX_CHANGES, Change
from shared.domain.entities import CLASSIFICATION_QUEUES, LOCAL_OWNER, JobKind, Upload
from shared.domain.errors import Unavailable
from shared.jobs.chunks import CHUNK_ITEMS
from shared.services import Services
from shared.settings import load_settings
from web.app import create_app

#: Pictures of the two Datasets, Labels, and calls of each kind in a repeat.
BIG, SMALL, LABELS, CALLS, REPEATS = 100_000, 100, 81, 200, 5
#: Bytes of Redis for each picture, and how much longer a call on the big Dataset may take, at most.
MOST_BYTES, MOST_TIMES = Goal(300, at_least=False), Goal(1.3, at_least=False)
#: Names such as people's folders have them: 51 to 61 characters.
FILENAME = "train/Packages/{0}/Brand-{0}-Fresh/Brand-{0}-Fresh_{1:05d}.jpg"


def rows(repeats: int = REPEATS) -> Iterator[Row]:
    """Fill the two Datasets, then measure."""
    with services() as parts:
        small, big = (parts.datasets.create(LOCAL_OWNER, name) for name in ("small", "big"))
        fill(parts, small, SMALL)
        before = _memory(parts)
        commits = fill(parts, big, BIG)
        yield Row("memory of Redis for each picture", Figures([(_memory(parts) - before) / BIG], "B"), goal=MOST_BYTES)
        yield Row(f"Redis's processor time for a commit of {CHUNK_ITEMS} pictures", Figures(commits, "ms"))
        yield from _compare(parts, repeats)
        yield from _alone(parts, big, repeats)


def _compare(parts: Services, repeats: int) -> Iterator[Row]:
    """Yield a row for each kind of call, on the two Datasets in turn."""
    client = create_app(parts).test_client()
    calls: dict[str, Callable[[str, int], Any]] = {
        "counts and Labels": lambda name, _: client.get(f"/v1/datasets/{name}"),
        "first page of 100": lambda name, _: client.get(f"/v1/datasets/{name}/pictures"),
        "a page of a Label": lambda name, _: client.get(f"/v1/datasets/{name}/pictures?label=Label+7&limit=1"),
        "one picture": lambda name, n: client.get(f"/v1/datasets/{name}/pictures/{n % SMALL + 1}"),
        "relabel one picture": lambda name, n: client.put(
            f"/v1/datasets/{name}/pictures/{n % SMALL + 1}", json={"label": f"Label {n % LABELS}"}
        ),
        "relabel ten": lambda name, n: client.post(
            f"/v1/datasets/{name}/pictures/labels",
            json={"labels": {str(number): f"Label {n % LABELS}" for number in range(1, 11)}},
        ),
    }
    for what, call in calls.items():
        times = [_both(call) for _ in range(repeats)]
        ours, theirs = (Figures([pair[side] * 1000 for pair in times], "ms") for side in (0, 1))
        yield ratio(f"{what}, of {BIG:,} pictures", ours, f"of {SMALL}", theirs, MOST_TIMES)


def _both(call: Callable[[str, int], Any]) -> tuple[float, float]:
    """Return the median seconds of a call on the big and the small Dataset."""
    times: dict[str, list[float]] = {"big": [], "small": []}
    for number in range(CALLS):
        for name, found in times.items():
            begin = time.perf_counter()
            answer = call(name, number)
            found.append(time.perf_counter() - begin)
            assert answer.status_code == 200, answer.text
    return statistics.median(times["big"]), statistics.median(times["small"])


def _alone(parts: Services, dataset: str, repeats: int) -> Iterator[Row]:
    """Yield rows of what is bigger in a bigger Dataset."""
    changes = {f"relabel {MAX_CHANGES:,} pictures": partial(_relabel, parts, dataset)}
    calls = changes | {f"read all {BIG:,} for a training": lambda _: parts.dataset_pictures.snapshot(dataset)}
    for what, call in calls.items():
        times, redis_times = [], []
        for repeat in range(repeats):
            begin, redis_begin = time.perf_counter(), _processor_ms(parts)
            call(repeat)
            times.append((time.perf_counter() - begin) * 1000)
            redis_times.append(_processor_ms(parts) - redis_begin)
        yield Row(what, Figures(times, "ms"), "of Redis's processor time", Figures(redis_times, "ms"))


def _relabel(parts: Services, dataset: str, repeat: int) -> None:
    label = f"Label {repeat % LABELS}"
    parts.dataset_pictures.change(dataset, {n: Change(label) for n in range(1, MAX_CHANGES + 1)})


def fill(parts: Services, dataset: str, count: int, labels: int = LABELS) -> list[float]:
    """Import pictures with realistic names and sizes, one in twenty a near copy; return Redis's ms for each commit."""
    job = parts.store.create(JobKind.IMPORT, retention_s=3600, dataset=dataset)
    parts.store.add(job, [_upload(number, labels) for number in range(count)], count)
    parts.store.seal(job)
    times: list[float] = []
    while chunk := parts.chunks.claim("bench", CLASSIFICATION_QUEUES):
        outcomes = {upload.key: _new(upload, row) for row, upload in enumerate(chunk.uploads)}
        begin = _processor_ms(parts)
        parts.dataset_imports.commit(chunk, dataset, len(times), len(outcomes), outcomes)
        times.append(_processor_ms(parts) - begin)
    parts.store.remove(job)
    parts.store.forget(job)
    return times


def _upload(number: int, labels: int) -> Upload:
    name = FILENAME.format(number % labels, number)
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Upload(f"k{number}", name, 80_000, digest, "image/jpeg", 348, 348, label=f"Label {number % labels}")


def _new(upload: Upload, row: int) -> NewPicture:
    near_rows = (row - 1,) if row % 20 == 19 else ()
    names = ("key", "sha256", "filename", "size", "media_type", "width", "height", "label")
    described = {name: getattr(upload, name) for name in names}
    return NewPicture(**described, row=row, near_rows=near_rows)


def _processor_ms(parts: Services) -> float:
    used = parts.redis.info("cpu")
    return float(used["used_cpu_user_main_thread"] + used["used_cpu_sys_main_thread"]) * 1000


def _memory(parts: Services) -> int:
    """Return the memory that Redis uses when it has freed what was deleted."""
    while parts.redis.info("memory")["lazyfree_pending_objects"]:
        time.sleep(0.05)
    return parts.store.memory()[0]


@contextmanager
def services() -> Iterator[Services]:
    """Run a Redis, and yield the parts of a service on it."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [redis_server_path(), "--port", str(port), "--dir", folder, "--appendonly", "yes", "--save", ""]
        server = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
        parts = Services.build(
            load_settings({"DARKROOM_REDIS_URL": f"redis://127.0.0.1:{port}/0", "DARKROOM_DATA_DIR": folder})
        )
        try:
            _wait(parts)
            yield parts
        finally:
            parts.close()
            server.kill()
            server.wait()


def _wait(parts: Services) -> None:
    while True:
        try:
            return parts.store.ping()
        except Unavailable:
            time.sleep(0.05)


def main() -> None:
    """Print the table."""
    print(heading(), flush=True)
    for row in rows():
        print(line(row.cells()), flush=True)


if __name__ == "__main__":
    main()
