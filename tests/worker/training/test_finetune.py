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
from shared.models.registry import Registry
from shared.training.presets import FinetuneParams
from tests.worker.training.test_train import At, Memory, timeless, weights
from worker.data.datasets import Dataset, Origin
from worker.datasets.snapshot import FrozenDataset, unpack
from worker.heads.fit import fit_head
from worker.presets import Preset, Start, finetune
from worker.publishing.publish import Provenance, publish_file
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
pytestmark = pytest.mark.usefixtures("few_passes")


@pytest.fixture(scope="module")
def things(squares: Dataset) -> Dataset:
    """Return the squares as pictures of an owner's Dataset."""
    return replace(
        squares, name="things", digest="0" * 64, origin=Origin(LOCAL_OWNER, "d" * 32, 1), test_numbers=np.arange(100)
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a published Backbone of random weights."""
    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("models")
    pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 128, -1)(pixels)
    for place in range(2):
        x = keras.layers.Conv2D(8, 3, 2, activation="relu", name=f"conv{place}")(x)
    x = keras.layers.Flatten(name=EMBEDDING)(x)
    x = keras.layers.Dense(4, activation="softmax", name=PROBABILITIES)(x)
    keras.Model(pixels, x).save(folder / MODEL_FILE)
    provenance = Provenance(preset="tiny", params={}, labels=("a", "b", "c", "d"), embedding=392)
    publish_file(folder / MODEL_FILE, provenance, folder)
    return folder


@pytest.fixture(scope="module")
def backbone(models: Path) -> Backbone:
    (version,) = (path.name for path in models.glob("tiny-*"))
    return Backbones(Registry(models), 1).get(version)


@pytest.fixture(scope="module")
def prepared(backbone: Backbone, models: Path, things: Dataset) -> Prepared:
    """Return a Head, and a last layer to start from that answers 3 to everything."""
    images, truth = things.x_train, things.y_train.astype(np.int64)
    vectors = backbone.embed(images)
    fitted = fit_head(vectors, truth, 10)
    count = np.arange(len(truth))
    frozen = FrozenDataset(
        "d" * 32, 1, things.labels, count, tuple(map(str, count)), truth, count < 0, count, count * 0, count
    )
    dull = np.zeros_like(fitted.head.weights), np.eye(10, dtype=np.float32)[3]
    start = Start(models / backbone.version / MODEL_FILE, *dull)
    return Prepared(LearntHead(fitted, backbone, frozen, vectors, 1.0), start, things)


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
    same = [
        np.array_equal(whole.model.get_layer(name).get_weights()[0], before.get_layer(name).get_weights()[0])
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
    for array, start in zip(trained.model.layers[-1].get_weights(), (head.weights, head.bias), strict=True):
        np.testing.assert_array_equal(array, start)


def test_a_tuned_network_is_published_and_served_as_it_was_measured(
    whole: TrainedModel, prepared: Prepared, models: Path
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
    whole_file = keras.saving.load_model(models / card.version / MODEL_FILE, compile=False, safe_mode=True)
    np.testing.assert_allclose(whole_file.predict(images.x_test, verbose=0), served.probabilities, atol=1e-3)
    outputs = cache.backbones.load(card.version).network.run(images.x_test)
    np.testing.assert_allclose(outputs[PROBABILITIES], served.probabilities, atol=1e-3)
    known = cache.get(card.version).answer(images.x_train[:20])
    assert known.novelty is not None and known.novelty.max() < 1e-3
    assert {path.name for path in (models / card.version).iterdir()} >= {ANSWERS_FILE, HEAD_FILE, SNAPSHOT_FILE}
