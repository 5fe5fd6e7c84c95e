"""Images per second of the whole service, against the machine's limit, the original application, and LitServe."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import files, limit
from bench.processes import form, post_each, server
from bench.service import Service, running_service
from bench.table import Figures, Goal, Row, ratio

#: Pictures in each repeat: for Darkroom and the machine's limit, and for the slower references.
PNGS, PHOTOS, ORIGINAL, BATCHING = 10_000, 300, 20, 2_000
#: Files in one multipart request; concurrent requests to LitServe: two batches.
IN_REQUEST, CLIENTS = 250, 128
LIMIT, ORIGINAL_APP, LITSERVE = "read, decode, forward on every core", "original application", "LitServe"


@dataclass(frozen=True)
class Workload:
    """Pictures, and the ways to send them, each with its goal: the minimum share of the machine's limit."""

    name: str
    contents: list[bytes]
    ending: str
    goals: dict[str, float]


@dataclass(frozen=True)
class Arm:
    """One way to classify pictures; `run` returns images per second."""

    name: str
    run: Callable[[], float]


def fast(repeats: int, seed_model: Path) -> Iterator[Row]:
    """Compare the shipped model on small pictures."""
    goals = {"in a zip": 0.9, "250 in a request": 0.75}
    with running_service() as service:
        version = service.champion()
        pngs = Workload("10,000 PNGs", files.pngs(PNGS), "png", goals)
        yield from _rows(pngs, service, version, seed_model, repeats)


def photos(repeats: int, seed_model: Path) -> Iterator[Row]:
    """Compare the shipped model on photos, which take longer to decode than to classify."""
    with running_service() as service:
        version = service.champion()
        load = Workload("300 photos", files.photos(PHOTOS), "jpg", {"in a zip": 0.9})
        yield from _rows(load, service, version, seed_model, repeats)


def seed(repeats: int, seed_model: Path) -> Iterator[Row]:
    """Compare the small network of preset `seed`: its forward pass is cheap, so the overhead shows."""
    with running_service() as service:
        version = service.use(seed_model)
        load = Workload("10,000 PNGs, network of `seed`", files.pngs(PNGS), "png", {"in a zip": 0.5})
        yield from _rows(load, service, version, seed_model, repeats)


def _rows(load: Workload, service: Service, version: str, seed_model: Path, repeats: int) -> Iterator[Row]:
    with ExitStack() as stack:
        ours, theirs = _ours(load, service), _theirs(load, service, version, seed_model, stack)
        speeds = [{arm.name: arm.run() for arm in (*theirs, *ours)} for _ in range(repeats)]
    for arm in ours:
        for reference, goal in ((LIMIT, load.goals[arm.name]), (ORIGINAL_APP, 100), (LITSERVE, 2)):
            mine, other = (Figures([one[name] for one in speeds], "images/s") for name in (arm.name, reference))
            yield ratio(f"{load.name}, {arm.name}", mine, reference, other, Goal(goal))


def _ours(load: Workload, service: Service) -> list[Arm]:
    """Return the arms of the service, timed from the first byte sent to the last result read."""
    archive, count = files.archive(load.contents, load.ending), len(load.contents)
    bodies = list(files.bodies(load.contents, IN_REQUEST))
    submits = {
        "in a zip": lambda: service.submit(archive),
        "250 in a request": lambda: service.submit_parts(bodies),
    }

    def timed(submit: Callable[[], str]) -> float:
        begin = time.perf_counter()
        job_id = submit()
        service.results(job_id, count)
        took = time.perf_counter() - begin
        service.delete(job_id)
        return count / took

    arms = [Arm(name, lambda submit=submits[name]: timed(submit)) for name in load.goals]  # type: ignore[misc]
    arms[0].run()  # warm up
    return arms


def _theirs(load: Workload, service: Service, version: str, seed_model: Path, stack: ExitStack) -> list[Arm]:
    """Return the arms of the references, which run until the stack is closed."""
    folder, contents = Path(stack.enter_context(tempfile.TemporaryDirectory())), load.contents
    paths = files.write(folder, contents, load.ending)
    classify = partial(limit.classify, service.folder, version)
    original = stack.enter_context(server("bench.references.original_app", seed_model))
    batching = stack.enter_context(server("bench.references.litserve_app", service.folder, version))
    few, some = contents[:ORIGINAL], [form(content) for content in contents[:BATCHING]]
    multipart = f"multipart/form-data; boundary={files.BOUNDARY}"
    post_each(batching, "/predict", some[:CLIENTS], multipart, CLIENTS)
    return [
        Arm(LIMIT, lambda: limit.pictures_per_s(classify, paths)),
        Arm(ORIGINAL_APP, lambda: len(few) / post_each(original, "/", few, "image/png", 1)),
        Arm(LITSERVE, lambda: len(some) / post_each(batching, "/predict", some, multipart, CLIENTS)),
    ]
