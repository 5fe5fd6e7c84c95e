"""From pictures to a Classifier, with the real Backbone: imports, near copies, a training of `head`, its promotion."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras.applications import MobileNetV2
from PIL import Image

from shared.datasets.embeddings import read_embeddings
from shared.datasets.entities import Picture, Split
from shared.datasets.files import DATASETS_FOLDER, picture_key, thumbnail_key
from shared.datasets.pictures import Change
from shared.datasets.report import read_report
from shared.domain.card import ANSWERS_FILE
from shared.domain.classifier import EVERYDAY, Classifier
from shared.domain.entities import (
    CLASSIFICATION_QUEUES,
    LOCAL_OWNER,
    ImportOutcome,
    Item,
    JobKind,
    JobState,
    blob_key,
    job_folder,
)
from shared.domain.preprocessing import PREPROCESSINGS
from shared.models.answers import unpack_answers
from shared.services import Services
from tests.fixtures.shapes import SHAPES, drawn, encoded
from tests.worker.backbones.test_applications import LABELS, made
from tests.worker.kit import importer, put
from worker.backbones.applications import Application, adapted
from worker.backbones.make import make_application
from worker.classify.chunk_worker import ChunkWorker
from worker.classify.classifier import Classifier as PictureClassifier
from worker.data.decode import decode
from worker.datasets.snapshot import freeze
from worker.serving.backbone import find_backbone
from worker.serving.models import ModelCache
from worker.training import job, report_process
from worker.training.report_basis import read_basis


@pytest.fixture
def worker(services: Services, threads: int) -> Iterator[ChunkWorker]:
    with ThreadPoolExecutor(threads) as pool:
        yield ChunkWorker(
            name="worker",
            queues=CLASSIFICATION_QUEUES,
            chunks=services.chunks,
            jobs=services.store,
            messenger=services.messenger,
            metrics=services.meters,
            models=ModelCache(services.registry, threads),
            classifier=PictureClassifier(services.blobs, services.settings.max_pixels, pool),
            importer=importer(services, pool),
            renewing=nullcontext,
            workers=services.workers,
        )


class Things:
    """A Dataset `things` and imports into it."""

    def __init__(self, services: Services, worker: ChunkWorker) -> None:
        self.services, self.worker = services, worker
        self.id = services.datasets.create(LOCAL_OWNER, "things")

    def add(self, contents: Mapping[str, bytes], labels: Mapping[str, str] | None = None) -> dict[str, Item]:
        """Import pictures by key, each with the Label that its key begins with; return the Items."""
        parts = self.services
        job_id = parts.store.create(
            JobKind.IMPORT, retention_s=60, dataset=self.id, model=parts.registry.alias(EVERYDAY).version
        )
        uploads = put(parts, job_id, dict(contents))
        given = labels or {key: key.partition("-")[0] for key in contents}
        parts.store.add(job_id, [replace(upload, label=given[upload.key]) for upload in uploads], 1000)
        parts.store.seal(job_id)
        while self.worker.work():
            pass
        assert parts.store.get(job_id).state is JobState.SUCCEEDED
        self.job_id = job_id
        return {item.upload.key: item for item in parts.results.stream(job_id)}

    def pictures(self) -> list[Picture]:
        return list(self.services.dataset_pictures.snapshot(self.id).pictures)


@pytest.fixture
def things(services: Services, worker: ChunkWorker) -> Things:
    return Things(services, worker)


def outcome(item: Item) -> str:
    assert item.outcome is not None
    return item.outcome.imported.outcome if item.outcome.imported else item.outcome.failure.code


def test_an_import_stores_each_picture_once(services: Services, things: Things) -> None:
    one, two = encoded(drawn("circle", 1)), encoded(drawn("square", 1))
    items = things.add({"circle-1": one, "circle-again": one, "square-1": two, "bars-broken": two[:200]})
    assert {key: outcome(item) for key, item in items.items()} == {
        "circle-1": ImportOutcome.ADDED,
        "circle-again": ImportOutcome.PRESENT,
        "square-1": ImportOutcome.ADDED,
        "bars-broken": "truncated",
    }
    found = things.pictures()
    assert [(each.width, each.height) for each in found] == [(96, 96)] * 2
    for each in found:
        block = services.dataset_pictures.block_id(things.id, each.block)
        assert services.blobs.get(picture_key(things.id, block, each.sha256)) in (one, two)
        with Image.open(io.BytesIO(services.blobs.get(thumbnail_key(things.id, block, each.sha256)))) as thumbnail:
            assert thumbnail.size == (96, 96)
    kept = services.blobs.keys(job_folder(things.job_id))
    assert kept == [blob_key(things.job_id, items["bars-broken"].upload.sha256)], "what failed can be tried again"


def test_the_same_bytes_under_another_label_are_a_conflict(services: Services, things: Things) -> None:
    content = encoded(drawn("circle", 1))
    things.add({"circle-1": content})
    (item,) = things.add({"square-1": content}).values()
    assert outcome(item) == ImportOutcome.CONFLICT
    assert item.outcome is not None
    assert item.outcome.imported is not None
    assert item.outcome.imported.label == "circle"
    (picture,) = things.pictures()
    assert len(services.blobs.keys(f"{DATASETS_FOLDER}/{things.id}")) == 4, "picture, thumbnail, hashes, Embeddings"
    assert picture.label == 0


def test_near_copies_are_one_group_also_from_another_import(things: Things) -> None:
    image = drawn("bars", 3, size=200)
    things.add({"bars-1": encoded(image), "bars-2": encoded(drawn("bars", 4, size=200))})
    copies = {
        "bars-small": encoded(image.resize((120, 120))),
        "bars-jpeg": encoded(image, "JPEG", quality=60),
        "bars-mirrored": encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    }
    things.add(copies)
    groups = {each.filename: each.group for each in things.pictures()}
    same = {"bars-1.png", *(f"{key}.png" for key in copies)}
    assert {groups[name] for name in same} == {groups["bars-1.png"]}
    assert groups["bars-2.png"] != groups["bars-1.png"]
    assert len({(each.group, each.split) for each in things.pictures()}) == 2


def test_an_import_into_a_deleted_dataset_fails_by_name(services: Services, things: Things) -> None:
    things.services.datasets.remove(things.id)
    (item,) = things.add({"circle-1": encoded(drawn("circle", 1))}).values()
    assert outcome(item) == "dataset_deleted"
    assert not services.blobs.keys(f"{DATASETS_FOLDER}/{things.id}")


def trained(services: Services, things: Things, *, finish: bool = False, **params: Any) -> Any:
    """Run a training of `head` on the Dataset, which may be told to finish early, and return its Job."""
    given = {"preset": "head", "dataset": "things", "promote": "if_better", "seed": 0, "base": None, **params}
    job_id = services.store.submit_training(given, retention_s=60, dataset=things.id)
    training = services.trainings.claim("worker")
    assert training is not None
    if finish:
        services.trainings.finish(job_id)
    job.run(services, training)
    return services.store.get(job_id)


def check_finetune_that_ends_at_once(services: Services, things: Things) -> None:
    """Expect that the version is the Head, and that the expected speed is still that from the Head."""
    expected = services.speeds.all()["finetune"].images_per_s
    tuned = trained(services, things, finish=True, preset="finetune", promote="never")
    assert tuned.state is JobState.SUCCEEDED, tuned.failure
    assert services.speeds.all()["finetune"].images_per_s == expected > 0
    (row,) = services.trainings.rows(tuned.id, 0, 100)
    assert (row["epoch"], row["step"], row["loss"]) == (0, 0, None)
    card = services.registry.card(tuned.model)
    assert (card.preset, card.params["kept"], card.history) == ("finetune", "head", ())


def check_distil(services: Services, things: Things, teacher: str) -> None:
    """Expect a network of 32 × 32 pixels that has learnt from the Head, which sees pictures of 224 × 224."""
    tiny = {"epochs": 2, "batch_size": 8, "width1": 4, "width2": 8, "width3": 8}
    taught = trained(services, things, preset="distil", teacher=teacher, promote="never", **tiny)
    assert taught.state is JobState.SUCCEEDED, taught.failure
    card = services.registry.card(taught.model)
    assert (card.preset, card.params["teacher"], card.input.width, card.labels) == ("distil", teacher, 32, SHAPES)
    mixed = trained(services, things, preset="distil", teacher=services.registry.champion().version, **tiny)
    assert mixed.failure is not None and "labels of the teacher" in mixed.failure.detail


def test_a_dataset_becomes_a_classifier(services: Services, things: Things) -> None:
    """Given 12 pictures each of 3 shapes, When `head` is trained, Then its version is right, served, and champion."""
    contents = {f"{shape}-{seed}": encoded(drawn(shape, seed)) for shape in SHAPES for seed in range(12)}
    things.add(contents)
    done = trained(services, things)
    assert done.state is JobState.SUCCEEDED, done.failure
    assert done.promotion["promoted"]
    card = services.registry.card(done.model)
    assert (card.classifier, card.owner) == ("things", LOCAL_OWNER)
    assert card.labels == SHAPES
    assert card.metrics is not None
    assert card.metrics.accuracy_interval is not None
    assert card.metrics.accuracy_interval[0] <= card.metrics.accuracy <= card.metrics.accuracy_interval[1]
    answers = unpack_answers(services.registry.file(card.version, ANSWERS_FILE))
    cells = Counter((answer.label, answer.answer) for answer in answers)
    assert [[cells[truth, answer] for answer in range(len(card.labels))] for truth in range(len(card.labels))] == [
        list(row) for row in card.metrics.confusion_matrix
    ]
    tested = services.dataset_pictures.many(things.id, [answer.n for answer in answers])
    assert all((tested[found.n].label, tested[found.n].split) == (found.label, Split.TEST) for found in answers)
    assert card.dataset is not None
    assert (card.dataset.train + card.dataset.test, card.dataset.id) == (len(contents), things.id)
    assert services.registry.alias(Classifier("things", LOCAL_OWNER)).version == done.model
    model = ModelCache(services.registry, 1).get(done.model)
    shape = model.card.input
    new = [decode(encoded(drawn(name, 99)), shape.height, shape.width, 10**6) for name in SHAPES]
    assert model.forward(np.stack(new)).argmax(axis=1).tolist() == [0, 1, 2]
    report = read_report(services.blobs, things.id)
    assert report is not None and report[0].judgement is not None
    assert [each.n for each in report[1]] == [picture.n for picture in things.pictures()]
    rows = services.trainings.rows(done.id, 0, 100)
    assert rows[-1]["step"] == rows[-1]["steps"]
    again = trained(services, things)
    assert not again.promotion["promoted"]
    assert "inconclusive" in again.promotion["reason"]
    assert services.registry.compare(done.model, again.model).images == card.dataset.test
    learnt = next(each for each in things.pictures() if each.split is Split.TRAIN)
    services.dataset_pictures.change(things.id, {learnt.n: Change(split=Split.TEST)})
    leaked = trained(services, things)
    assert not leaked.promotion["promoted"]
    assert "has learnt from 1 of" in leaked.promotion["reason"]
    services.dataset_pictures.change(things.id, {learnt.n: Change(label="")})
    assert report_process.compute(services, things.id) == os.EX_OK
    report = read_report(services.blobs, things.id)
    assert report is not None and report[0].revision == services.datasets.revision(things.id)
    suggested = report[1].of(services.dataset_pictures.get(things.id, learnt.n))
    assert suggested is not None and suggested.best == learnt.label
    check_distil(services, things, done.model)
    check_finetune_that_ends_at_once(services, things)


def made_backbone(services: Services, folder: Path) -> str:
    """Publish a small network of `keras.applications` with random weights, and return its version."""
    application = Application(adapted(made(MobileNetV2, alpha=0.35)), PREPROCESSINGS["-1..1"])
    version = make_application("mobilenetv2", application, LABELS, folder).version
    services.registry.publish(folder / version)
    return version


def test_another_backbone_has_its_own_embeddings(services: Services, things: Things, tmp_path: Path) -> None:
    """Given a training on another Backbone, Then its report stays on it, and what imports make is as before."""
    things.add({f"{shape}-{seed}": encoded(drawn(shape, seed)) for shape in SHAPES[:2] for seed in range(8)})
    usual, other = find_backbone(services.registry).version, made_backbone(services, tmp_path)
    block = services.dataset_pictures.blocks(things.id)[0].id
    before = read_embeddings(services.blobs, things.id, block, usual)
    done = trained(services, things, backbone="mobilenetv2")
    assert done.state is JobState.SUCCEEDED, done.failure
    card = services.registry.card(done.model)
    assert card.backbone is not None and card.backbone.version == other
    assert (card.input.width, card.preprocessing) == (32, PREPROCESSINGS["-1..1"])
    assert np.array_equal(read_embeddings(services.blobs, things.id, block, usual), before)
    assert read_embeddings(services.blobs, things.id, block, other).shape == (16, 1280)
    answers = ModelCache(services.registry, 1).get(card.version).answer(np.zeros((1, 32, 32, 3), np.uint8))
    assert answers.novelty is not None
    copy = drawn("circle", 0).resize((80, 80))
    things.add({"circle-copy": encoded(copy)})
    assert services.dataset_pictures.get(things.id, 17).group == services.dataset_pictures.get(things.id, 1).group
    services.dataset_pictures.change(things.id, {2: Change(label="square")})
    assert report_process.compute(services, things.id) == os.EX_OK
    basis = read_basis(services.blobs, things.id)
    assert basis is not None and basis.backbone == other
    tuned = trained(services, things, finish=True, preset="finetune", promote="never", backbone=other)
    assert services.registry.card(tuned.model).params["kept"] == "head", tuned.failure
    assert "finetune" not in services.speeds.all(), "those are of the usual Backbone"
    missing = trained(services, things, backbone="lite9")
    assert missing.failure is not None and missing.failure.code == "model_unusable"
    assert "no Backbone lite9 here; you have: everyday, mobilenetv2" in missing.failure.detail


def test_a_training_keeps_the_pictures_of_its_first_start(services: Services, things: Things) -> None:
    """Given a Snapshot, When pictures are relabelled and deleted, Then it still has the Labels, not the bytes."""
    things.add({f"{shape}-{seed}": encoded(drawn(shape, seed)) for shape in SHAPES[:2] for seed in range(5)})
    before = freeze(services.blobs, services.dataset_pictures, "a" * 32, things.id)
    first = things.pictures()[0]
    services.dataset_pictures.change(things.id, {first.n: Change(label="square")})
    services.dataset_pictures.delete(things.id, [things.pictures()[1].n])
    after = freeze(services.blobs, services.dataset_pictures, "a" * 32, things.id)
    assert (after.digest, after.numbers.tolist()) == (before.digest, before.numbers.tolist())


def test_too_few_pictures_are_refused_by_name(services: Services, things: Things) -> None:
    things.add({f"{shape}-{seed}": encoded(drawn(shape, seed)) for shape in SHAPES[:2] for seed in range(3)})
    done = trained(services, things)
    assert done.failure is not None
    assert done.failure.code == "too_few_pictures"
    assert "circle (3)" in done.failure.detail
