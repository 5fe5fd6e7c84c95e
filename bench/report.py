"""Time of the report on a Dataset whose Embeddings are there: of a full one, and after a few pictures are relabelled.

    python -m bench.report

From the request to the report, without the wait for a worker: it computes in a process of its own, as always. The
pictures have no bytes, and their Embeddings are made. The reference computes the predictions alone.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from flask.testing import FlaskClient
from numpy.typing import NDArray

from bench.datasets import LABELS, fill, services
from bench.table import Figures, Goal, Row, heading, line, ratio
from shared.datasets.embeddings import write_embeddings
from shared.datasets.files import basis_key, neighbours_key, report_key
from shared.datasets.report import read_report
from shared.domain.entities import LOCAL_OWNER
from shared.services import Services
from web.app import create_app
from worker.datasets.snapshot import FrozenDataset, present
from worker.heads.folds import FOLDS
from worker.serving.backbone import find_backbone
from worker.training.report_supervisor import ReportSupervisor

#: Pictures, numbers of an Embedding, pictures that are relabelled, and repeats.
PICTURES, DIMENSIONS, RELABELLED, REPEATS = 10_000, 1280, 10, 3
#: Share of the pictures that have a wrong Label.
WRONG = 0.05
#: Seconds for a report, at most: a full one, and after RELABELLED pictures are relabelled.
FULL, AGAIN = Goal(60, at_least=False), Goal(5, at_least=False)
NAME = "bench"


def rows(repeats: int = REPEATS) -> Iterator[Row]:
    """Fill a Dataset, then measure."""
    with services() as parts:
        os.environ |= {
            "DARKROOM_REDIS_URL": parts.settings.redis_url or "",
            "DARKROOM_DATA_DIR": str(parts.settings.data_dir),
        }
        dataset = parts.datasets.create(LOCAL_OWNER, NAME)
        fill(parts, dataset, PICTURES)
        frozen = present(parts.dataset_pictures, dataset)
        vectors = made(frozen.truth)
        store(parts, dataset, vectors)
        learnt = ~frozen.test
        theirs = [reference(vectors[learnt], frozen, seed) for seed in range(repeats)]
        client = create_app(parts).test_client()
        full, again, both = zip(*(measured(parts, client, dataset, seed) for seed in range(repeats)), strict=True)
    took, next_took = (Figures([each.seconds for each in reports], "s") for reports in (full, again))
    work, next_work = (Figures([each.processor_s for each in reports], "s") for reports in (full, again))
    yield Row(f"report on {PICTURES:,} pictures", took, "of processor time", work, goal=FULL)
    yield ratio("the same", took, "held-out LogisticRegression alone", Figures(theirs, "s"))
    yield Row(f"the next one, {RELABELLED} pictures relabelled", next_took, "of processor time", next_work, goal=AGAIN)
    yield ratio("the same", next_took, "full report", took)
    yield Row("pictures that another Label fits better, the same as in a full one", Figures(both, "%"), goal=Goal(95))


def made(truth: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return Embeddings (n, DIMENSIONS) of pictures of these Labels, a share WRONG of them of another Label.

    The variance falls as one over the rank of the axis, and no component is negative, as in those of photos.
    """
    random = np.random.default_rng(0)
    wrong = random.random(len(truth)) < WRONG
    shown = np.where(wrong, random.integers(0, LABELS, len(truth)), truth)
    scale = (1 / np.sqrt(np.arange(1, DIMENSIONS + 1))).astype(np.float32)
    axes = np.linalg.qr(random.standard_normal((DIMENSIONS, DIMENSIONS), np.float32))[0]
    centres = 0.5 * scale * random.standard_normal((LABELS, DIMENSIONS), np.float32)
    noise = scale * random.standard_normal((len(truth), DIMENSIONS), np.float32)
    vectors: NDArray[np.float16] = np.maximum((centres[shown] + noise) @ axes + 0.1, 0).astype(np.float16)
    return vectors


def store(parts: Services, dataset: str, vectors: NDArray[np.float16]) -> None:
    """Store the Embeddings of all pictures, by number, as if the Backbone had made them."""
    backbone = find_backbone(parts.registry).version
    for block in parts.dataset_pictures.blocks(dataset):
        rows = vectors[block.first - 1 : block.first - 1 + block.rows]
        write_embeddings(parts.blobs, dataset, block.id, backbone, rows)


def reference(vectors: NDArray[np.float16], frozen: FrozenDataset, seed: int) -> float:
    """Return the seconds that scikit-learn takes for predictions of each picture without its fold."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    begin = time.perf_counter()
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    truth = frozen.truth[~frozen.test]
    cross_val_predict(LogisticRegression(), vectors.astype(np.float32), truth, cv=folds, method="predict_proba")
    return time.perf_counter() - begin


class Report(NamedTuple):
    """The seconds until a report is there, its processor time, and the pictures that another Label fits better."""

    seconds: float
    processor_s: float
    better: set[int]


def measured(parts: Services, client: FlaskClient, dataset: str, seed: int) -> tuple[Report, Report, float]:
    """Return a full report, the next one, and how much a full one has in common with that, in percent."""
    forget(parts, dataset)
    full = compute(parts, client)
    numbers = np.random.default_rng(seed).choice(PICTURES, RELABELLED, replace=False) + 1
    labels = {str(number): f"Label {(number + seed) % LABELS}" for number in numbers}
    again = compute(parts, client, labels)
    forget(parts, dataset)
    long, short = compute(parts, client).better, again.better
    return full, again, 100 * len(short & long) / len(short | long)


def forget(parts: Services, dataset: str) -> None:
    """Delete the report, and what the next one could take over."""
    parts.blobs.delete([key(dataset) for key in (report_key, basis_key, neighbours_key)])


def compute(parts: Services, client: FlaskClient, labels: dict[str, str] | None = None) -> Report:
    """Relabel pictures, ask for the report, and wait until it is there."""
    begin, processor_begin = time.perf_counter(), processor_s()
    if labels:
        assert client.post(f"/v1/datasets/{NAME}/pictures/labels", json={"labels": labels}).status_code == 200
    assert report(client)["computing"]
    ReportSupervisor(parts).work()
    assert not report(client)["computing"]
    took, found = time.perf_counter() - begin, read_report(parts.blobs, parts.datasets.find(LOCAL_OWNER, NAME))
    assert found is not None
    better = {opinion.n for opinion in found[1] if opinion.doubt > 0.5}
    return Report(took, processor_s() - processor_begin, better)


def processor_s() -> float:
    """Return the seconds of processor time of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(client: FlaskClient) -> Any:
    """Return the present report."""
    return client.get(f"/v1/datasets/{NAME}/report").json


def main() -> None:
    """Print the table."""
    print(heading(), flush=True)
    for row in rows():
        print(line(row.cells()), flush=True)


if __name__ == "__main__":
    main()
