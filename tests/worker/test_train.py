import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.card import Epoch, ModelCard
from shared.errors import InvalidRequest
from worker import evaluate, presets
from worker.datasets import CIFAR10_SETTING, Dataset, load_cifar10
from worker.train import TrainedModel, code_version, main, publish, train

SEED = presets.get("seed")
SHORT = SEED.params.changed(epochs=1, batch_size=16)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy images whose class shows in a bright square at a place of its own."""
    path = tmp_path_factory.mktemp("data") / "images.npz"
    generator = np.random.default_rng(5)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 400), ("test", 100)):
        truth = np.tile(np.arange(10, dtype=np.uint8), count // 10)
        images = generator.integers(0, 100, (count, 32, 32, 3), dtype=np.uint8)
        for image, label in zip(images, truth, strict=True):
            row, column = 16 * (label // 5), 6 * (label % 5)
            image[row : row + 16, column : column + 6] = 250
        arrays |= {f"x_{part}": images, f"y_{part}": truth}
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="module")
def dataset(source: Path) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CIFAR10_SETTING, str(source))
        return load_cifar10()


@pytest.fixture(scope="module")
def trained(dataset: Dataset) -> TrainedModel:
    return train(SEED, dataset, seed=1, params=SHORT)


@pytest.fixture(scope="module")
def published(trained: TrainedModel, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models")
    return out / publish(trained, dataset, out).version


def weights(trained: TrainedModel) -> bytes:
    return b"".join(array.tobytes() for array in trained.model.get_weights())


def test_the_network_learns(dataset: Dataset) -> None:
    rows: list[Epoch] = []
    trained = train(SEED, dataset, seed=1, params=SHORT.changed(epochs=4), on_epoch=rows.append)
    assert trained.history == tuple(rows)
    assert [row.epoch for row in rows] == [1, 2, 3, 4]
    assert rows[-1].loss < rows[0].loss
    metrics = evaluate.measure(evaluate.predict(trained.model, dataset.x_test), dataset.y_test, dataset.labels)
    assert metrics.accuracy > 0.5


def test_the_same_seed_gives_the_same_weights(trained: TrainedModel, dataset: Dataset) -> None:
    assert weights(train(SEED, dataset, seed=1, params=SHORT)) == weights(trained)


def test_another_seed_gives_other_weights(trained: TrainedModel, dataset: Dataset) -> None:
    assert weights(train(SEED, dataset, seed=2, params=SHORT)) != weights(trained)


def test_what_on_epoch_raises_ends_the_training(dataset: Dataset) -> None:
    def stop(row: Epoch) -> None:
        raise KeyboardInterrupt(row.epoch)

    with pytest.raises(KeyboardInterrupt, match="1"):
        train(SEED, dataset, seed=1, params=SHORT.changed(epochs=3), on_epoch=stop)


def test_a_diverging_training_says_so(dataset: Dataset) -> None:
    with pytest.raises(InvalidRequest, match="diverged in epoch 1"):
        train(SEED, dataset, seed=1, params=SHORT.changed(learning_rate=1e38))


def test_the_published_folder_is_complete(published: Path) -> None:
    assert sorted(path.name for path in published.iterdir()) == ["card.json", "model.keras"]
    assert [path.name for path in published.parent.iterdir()] == [published.name]


def test_the_card_describes_the_file(published: Path, trained: TrainedModel, dataset: Dataset) -> None:
    card = ModelCard.read(published / "card.json")
    content = (published / "model.keras").read_bytes()
    assert card.version == published.name
    assert card.file_sha256 == hashlib.sha256(content).hexdigest()
    assert card.size.file_bytes == len(content)
    assert card.size.parameters == trained.model.count_params()
    assert (card.preset, card.seed, card.params) == ("seed", 1, SHORT.as_dict())
    assert (card.dataset.train, card.dataset.validation, card.dataset.test) == (380, 20, 100)
    assert card.dataset.digest == dataset.digest
    assert card.history == trained.history


def test_the_published_model_answers_as_the_trained_one(
    published: Path, trained: TrainedModel, dataset: Dataset
) -> None:
    model = keras.models.load_model(published / "model.keras", compile=False)
    answers = evaluate.predict(model, dataset.x_test)
    np.testing.assert_allclose(answers, evaluate.predict(trained.model, dataset.x_test), atol=1e-6)
    card = ModelCard.read(published / "card.json")
    assert card.metrics.accuracy == np.mean(answers.argmax(axis=1) == dataset.y_test)


def test_the_optimizer_is_not_published(published: Path, trained: TrainedModel) -> None:
    assert (published / "model.keras").stat().st_size < 1.5 * 4 * trained.model.count_params()


def test_a_failed_publication_leaves_nothing(trained: TrainedModel, dataset: Dataset, tmp_path: Path) -> None:
    short_of_labels = replace(dataset, labels=dataset.labels[:9])
    with pytest.raises(ValueError, match="reshape"):
        publish(trained, short_of_labels, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_code_version_is_stable() -> None:
    assert code_version(SEED) == code_version(SEED)
    assert code_version(SEED).startswith("src-")


def test_the_command_trains_and_publishes(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CIFAR10_SETTING, str(source))
    arguments = ["--preset", "seed", "--seed", "7", "--epochs", "2", "--batch-size", "64", "--learning-rate", "0.002"]
    assert main([*arguments, "--out", str(tmp_path / "new" / "models")]) == 0
    (folder,) = (tmp_path / "new" / "models").iterdir()
    card = ModelCard.read(folder / "card.json")
    assert (card.params["epochs"], card.params["batch_size"], card.params["learning_rate"]) == (2, 64, 0.002)
    assert len(card.history) == 2
    printed = capsys.readouterr().out
    assert "epoch   1" in printed
    assert "epoch   2" in printed
    assert card.version in printed
    assert str(source) not in (folder / "card.json").read_text()


@pytest.mark.parametrize("wrong", [["--epochs", "0"], ["--batch-size", "-1"], ["--learning-rate", "nan"]])
def test_a_wrong_hyperparameter_is_named(wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*wrong, "--out", str(tmp_path)]) == 1
    assert wrong[0].strip("-").replace("-", "_") in capsys.readouterr().err


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match=r"no preset 'sead'; the presets are .*seed"):
        presets.get("sead")


def test_listing_the_presets_does_not_load_tensorflow() -> None:
    code = (
        "import sys\n"
        "from worker.presets import PRESETS\n"
        "print([preset.params.as_dict() for preset in PRESETS.values()])\n"
        "raise SystemExit(bool({'tensorflow', 'keras'} & set(sys.modules)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
