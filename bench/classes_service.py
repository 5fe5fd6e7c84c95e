"""From pictures to a served version, by the whole service: import, training, classification, correction."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from bench import limit
from bench.files import stored_zip
from bench.references.loading import MAX_PIXELS
from bench.service import Service, running_service
from bench.table import Figures, Goal, Row, ratio
from shared.models.registry import Registry
from worker.data.decode import decode
from worker.serving.backbone import Backbone, Backbones, find_backbone

#: Pictures that are relabelled before the second training.
RELABELLED = 10
NAME = "bench"


def rows(folder: Path, files: list[Path], repeats: int) -> Iterator[Row]:
    """Yield the rows of the table; each repeat begins with an empty Dataset."""
    archive = stored_zip({str(file.relative_to(folder)): file.read_bytes() for file in files})
    limits = [limit.pictures_per_s(embed, files) for _ in range(repeats)]
    imports, trainings, classified, again = [], [], [], []
    with running_service() as service:
        for _ in range(repeats):
            imports.append(len(files) / import_all(service, archive))
            trainings.append(train(service))
            classified.append(len(files) / classify(service, archive, len(files)))
            again.append(relabel_and_train(service))
            service.http.delete(f"/v1/datasets/{NAME}").raise_for_status()
            service.http.delete(f"/v1/classifiers/{NAME}").raise_for_status()
    reference, bound = "a process for each core: read, decode, embed", Figures(limits, "pictures/s")
    yield ratio("import", Figures(imports, "pictures/s"), reference, bound, Goal(0.85))
    yield Row("preset head, from the request to serving", Figures(trainings, "s"), goal=Goal(20, at_least=False))
    yield ratio("classified by its version", Figures(classified, "pictures/s"), reference, bound, Goal(0.9))
    name = f"{RELABELLED} pictures relabelled, and trained again"
    yield Row(name, Figures(again, "s"), goal=Goal(20, at_least=False))


@cache
def _backbone() -> Backbone:
    registry = Registry()
    return Backbones(registry, 1).get(find_backbone(registry).version)


def embed(files: Sequence[Path]) -> None:
    """Read, decode and embed pictures, as an import does."""
    shape = _backbone().card.input
    pixels = [decode(file.read_bytes(), shape.height, shape.width, MAX_PIXELS) for file in files]
    _backbone().embed(np.stack(pixels))


def import_all(service: Service, archive: bytes) -> float:
    """Import the zip into a new Dataset; return the seconds from the first byte to the end of the Job."""
    service.http.post("/v1/datasets", json={"name": NAME}).raise_for_status()
    start = time.perf_counter()
    headers = {"Content-Type": "application/zip"}
    answer = service.http.post(f"/v1/datasets/{NAME}/imports", content=archive, headers=headers).raise_for_status()
    service.wait_until_done(answer.json()["id"])
    return time.perf_counter() - start


def train(service: Service) -> float:
    """Train preset `head`; return the seconds from the request until its version answers."""
    params = {"preset": "head", "dataset": NAME, "promote": "always"}
    start = time.perf_counter()
    answer = service.http.post("/v1/jobs", json={"kind": "training", "params": params}).raise_for_status()
    job = service.wait_until_done(answer.json()["id"])
    if job["state"] != "succeeded":
        raise RuntimeError(f"the training has failed: {job['error']}")
    return time.perf_counter() - start


def classify(service: Service, archive: bytes, count: int) -> float:
    """Classify the zip with the champion of the Dataset; return the seconds until all results are read."""
    headers, start = {"Content-Type": "application/zip"}, time.perf_counter()
    answer = service.http.post(f"/v1/jobs?classifier={NAME}", content=archive, headers=headers).raise_for_status()
    service.results(answer.json()["id"], count)
    seconds = time.perf_counter() - start
    service.delete(answer.json()["id"])
    return seconds


def relabel_and_train(service: Service) -> float:
    """Give some pictures the Label of another class and train again; return the seconds until that version answers."""
    start = time.perf_counter()
    labels = [label["name"] for label in service.http.get(f"/v1/datasets/{NAME}").json()["labels"]]
    page = service.http.get(f"/v1/datasets/{NAME}/pictures", params={"label": labels[0], "limit": RELABELLED}).json()
    changes = {picture["id"]: labels[1] for picture in page["data"]}
    service.http.post(f"/v1/datasets/{NAME}/pictures/labels", json={"labels": changes}).raise_for_status()
    train(service)
    return time.perf_counter() - start
