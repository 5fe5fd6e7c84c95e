"""Preset `finetune` on a small Backbone that the test makes: it learns on, resumes, and keeps the better of two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.domain.card import ANSWERS_FILE, CARD_FILE, HEAD_FILE, MODEL_FILE, SNAPSHOT_FILE, ModelCard
from shared.domain.entities import LOCAL_OWNER, Job, JobKind, JobState
from shared.domain.preprocessing import PREPROCESSINGS, Preprocessing
from shared.models.registry import Registry
from shared.training.presets import FinetuneParams
from tests.worker.training.test_train import At, Memory, timeless, weights
from worker.data.datasets import Dataset, Origin
from worker.datasets.snapshot import FrozenDataset, unpack
from worker.heads.fit import fit_head
from worker.presets import Preset, Start, finetune
from worker.publishing.publish import Provenance, publish_file
from worker.serving import keras_runtime
from worker.serving.backbone import Backbone, Backbones
from worker.serving.forward import EMBEDDING, PROBABILITIES
from worker.serving.models import ModelCache
from worker.training.finetune import Prepared
from worker.training.head import LearntHead
from worker.training.loop import Callbacks
from worker.training.progress import TrainingCancelled, TrainingCommand
from worker.training.publish_tuned import publish_better
from worker.training.train import TrainedModel, train

#: 380 training images make 10 steps of 38. Their class is where the square is, which no crop would keep.
PARAMS = FinetuneParams(dataset="things", epochs=2, batch_size=38, learning_rate=3e-3, frozen=0.4, augment=False)
NONE = Preprocessing()
pytestmark = pytest.mark.usefixtures("few_passes")


@pytest.fixture(scope="module")
def things(squares: Dataset) -> Dataset:
    """Return the squares as pictures of an owner's Dataset."""
    return replace(
        squares, name="things", digest="0" * 64, origin=Origin(LOCAL_OWNER, "d" * 32, 1), test_numbers=np.arange(100)
    )


def published(folder: Path, preprocessing: Preprocessing = NONE, *, norms: bool = False) -> Backbone:
    """Publish a Backbone of random weights, which scales its input itself unless it has a preprocessing."""
    keras.utils.set_random_seed(1)
    x = pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 128, -1)(pixels) if preprocessing == NONE else x
    for place in range(2):
        x = keras.layers.Conv2D(8, 3, 2, activation="relu", name=f"conv{place}")(x)
        x = keras.layers.BatchNormalization(name=f"norm{place}")(x) if norms else x
    x = keras.layers.Flatten(name=EMBEDDING)(x)
    x = keras.layers.Dense(4, activation="softmax", name=PROBABILITIES)(x)
    keras.Model(pixels, x).save(folder / MODEL_FILE)
    labels = ("a", "b", "c", "d")
    provenance = Provenance(preset="tiny", params={}, labels=labels, embedding=392, preprocessing=preprocessing)
    return Backbones(Registry(folder), 1).get(publish_file(folder / MODEL_FILE, provenance, folder).version)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for versions."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def prepared(models: Path, things: Dataset) -> Prepared:
    return start(published(models), models, things)


def start(backbone: Backbone, models: Path, things: Dataset) -> Prepared:
    """Return a Head, and a last layer to start from that answers 3 to everything."""
    images, truth = things.x_train, things.y_train.astype(np.int64)
    vectors = backbone.embed(images)
    fitted = fit_head(vectors, truth, 10)
    count = np.arange(len(truth))
    frozen = FrozenDataset(
        "d" * 32, 1, things.labels, count, tuple(map(str, count)), truth, count < 0, count, count * 0, count
    )
    dull = np.zeros_like(fitted.head.weights), np.eye(10, dtype=np.float32)[3]
    begin = Start(models / backbone.version / MODEL_FILE, *dull, backbone.card.preprocessing)
    return Prepared(LearntHead(fitted, backbone, frozen, vectors, 1.0), begin, things)


def tune(prepared: Prepared, callbacks: Callbacks | None = None, **changes: Any) -> TrainedModel:
    params = PARAMS.model_copy(update=changes)
    return train(Preset(params, finetune.build), prepared.images, params, callbacks, start=prepared.start)


@pytest.fixture(scope="module")
def whole(prepared: Prepared) -> TrainedModel:
    """An undisturbed run of 20 steps."""
    return tune(prepared)


def job() -> Job:
    return Job("1" * 32, JobKind.TRAINING, JobState.RUNNING, 0, owner=LOCAL_OWNER, params=PARAMS.model_dump())


def test_it_is_measured_before_the_first_step_and_gets_better(whole: TrainedModel, things: Dataset) -> None:
    first = whole.rows[0]
    assert (first.epoch, first.step, first.loss, first.lr) == (0, 0, None, None)
    assert first.val_accuracy == pytest.approx(np.mean(things.y_val == 3))
    assert [epoch.epoch for epoch in whole.history] == [1, 2]
    assert whole.best_epoch > 0
    assert whole.history[whole.best_epoch - 1].val_loss < (first.val_loss or 0)


def test_frozen_layers_stay_and_the_others_learn(whole: TrainedModel, prepared: Prepared) -> None:
    before = keras.saving.load_model(prepared.start.backbone, compile=False)
    after = finetune.core(whole.model)
    same = [
        np.array_equal(after.get_layer(name).get_weights()[0], before.get_layer(name).get_weights()[0])
        for name in ("conv0", "conv1")
    ]
    assert same == [True, False]


def test_it_resumes_exactly(whole: TrainedModel, prepared: Prepared) -> None:
    store = Memory()
    with pytest.raises(TrainingCancelled, match="after 12 of 20 steps"):
        tune(prepared, Callbacks(control=At(12, TrainingCommand.CANCEL), checkpoint=store))
    resumed = tune(prepared, Callbacks(checkpoint=store))
    assert timeless(resumed) == timeless(whole)
    assert weights(resumed) == weights(whole)


@pytest.mark.parametrize("ending", ["worse", "finished at once"])
def test_the_head_is_kept_if_no_epoch_is_better(ending: str, prepared: Prepared) -> None:
    head, finish = prepared.learnt.fitted.head, Callbacks(control=At(0, TrainingCommand.FINISH))
    good = replace(prepared, start=replace(prepared.start, weights=head.weights, bias=head.bias))
    trained = tune(good, learning_rate=10, epochs=1) if ending == "worse" else tune(good, finish)
    assert trained.best_epoch == 0
    kept = finetune.core(trained.model).layers[-1].get_weights()
    for array, wanted in zip(kept, (head.weights, head.bias), strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_a_tuned_network_is_published_and_served_as_it_was_measured(
    whole: TrainedModel, prepared: Prepared, models: Path, threads: int
) -> None:
    registry, images = Registry(models), prepared.images
    card = publish_better(whole, prepared, registry, job(), models)
    assert card == ModelCard.read(models / card.version / CARD_FILE)
    assert (card.params["kept"], card.classifier, card.owner) == ("network", "things", LOCAL_OWNER)
    assert card.is_own_backbone and card.parent == prepared.learnt.backbone.version
    assert unpack((models / card.version / SNAPSHOT_FILE).read_bytes()).digest == prepared.learnt.frozen.digest
    cache = ModelCache(registry, 1)
    served = cache.get(card.version).answer(images.x_test)
    assert card.metrics is not None and card.unknown is not None and served.novelty is not None
    assert np.mean(served.probabilities.argmax(axis=1) == images.y_test) == pytest.approx(card.metrics.accuracy)
    assert card.preprocessing == prepared.start.preprocessing
    by_keras = keras_runtime.load(models / card.version / MODEL_FILE, threads, card.preprocessing)
    np.testing.assert_allclose(by_keras(images.x_test), served.probabilities, atol=1e-3)
    outputs = cache.backbones.load(card.version).network.run(images.x_test)
    np.testing.assert_allclose(outputs[PROBABILITIES], served.probabilities, atol=1e-3)
    known = cache.get(card.version).answer(images.x_train[:20])
    assert known.novelty is not None and known.novelty.max() < 1e-3
    assert {path.name for path in (models / card.version).iterdir()} >= {ANSWERS_FILE, HEAD_FILE, SNAPSHOT_FILE}


def test_batch_normalisation_stays_as_it_was_trained(things: Dataset, tmp_path: Path, threads: int) -> None:
    """Given a Backbone with norms and the channels turned, When it learns, Then it serves what was measured."""
    backbone = published(tmp_path, PREPROCESSINGS["imagenet-bgr"], norms=True)
    prepared = start(backbone, tmp_path, things)
    trained = tune(prepared, epochs=1, frozen=0.0)
    before = keras.saving.load_model(prepared.start.backbone, compile=False)
    for name, moved in (("norm0", False), ("norm1", False), ("conv0", True)):
        pair = (each.get_layer(name).get_weights() for each in (before, finetune.core(trained.model)))
        assert any(not np.array_equal(*arrays) for arrays in zip(*pair, strict=True)) == moved, name
    card = publish_better(replace(trained, best_epoch=1), prepared, Registry(tmp_path), job(), tmp_path)
    served = ModelCache(Registry(tmp_path), 1).get(card.version).answer(things.x_test).probabilities
    by_keras = keras_runtime.load(tmp_path / card.version / MODEL_FILE, threads, card.preprocessing)(things.x_test)
    np.testing.assert_allclose(by_keras, served, atol=1e-3)
