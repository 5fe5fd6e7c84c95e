import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from shared.card import ModelCard
from worker import evaluate, presets, views
from worker.datasets import CIFAR10_SETTING, Dataset
from worker.models import compiled
from worker.publish import code_version, plain, publish
from worker.train import TrainedModel, train
from worker.train_command import main

FAST = presets.get("fast")
PARAMS = FAST.params.changed(epochs=2, batch_size=38, width1=4, width2=8, width3=8)


@pytest.fixture(scope="module")
def trained(squares: Dataset) -> TrainedModel:
    return train(FAST, squares, 1, PARAMS)


@pytest.fixture(scope="module")
def both(trained: TrainedModel, squares: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folders of the same network published with one view and with six."""
    folders = {}
    for served in (1, 6):
        out = tmp_path_factory.mktemp("models")
        folders[served] = out / publish(trained, squares, out, six_views=served == 6).version
    return folders


@pytest.fixture(params=[1, 6], ids=["one view", "six views"])
def published(request: pytest.FixtureRequest, both: dict[int, Path]) -> Path:
    return both[request.param]


@pytest.fixture
def card(published: Path) -> ModelCard:
    return ModelCard.read(published / "card.json")


def load(published: Path) -> Any:
    return keras.saving.load_model(published / "model.keras", compile=False, safe_mode=True)


def answers(published: Path, dataset: Dataset) -> NDArray[Any]:
    return evaluate.predict(load(published), dataset.x_test)


def test_the_folder_is_complete(published: Path) -> None:
    assert sorted(path.name for path in published.iterdir()) == ["card.json", "model.keras"]
    assert [path.name for path in published.parent.iterdir()] == [published.name]


def test_the_card_describes_the_file(published: Path, card: ModelCard, trained: TrainedModel, squares: Dataset) -> None:
    content = (published / "model.keras").read_bytes()
    assert card.version == published.name
    assert card.file_sha256 == hashlib.sha256(content).hexdigest()
    assert card.size.file_bytes == len(content)
    assert card.size.parameters == trained.model.count_params()
    assert (card.preset, card.seed, card.params) == ("fast", 1, PARAMS.as_dict())
    assert (card.dataset.train, card.dataset.validation, card.dataset.test) == (380, 20, 100)
    assert card.dataset.digest == squares.digest
    assert (card.history, card.best_epoch) == (trained.history, trained.best_epoch)


def test_a_process_that_knows_only_keras_can_load_it(both: dict[int, Path], squares: Dataset, tmp_path: Path) -> None:
    published = both[6]
    np.save(tmp_path / "images.npy", squares.x_test)
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)\n"
        "np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))\n"
    )
    files = [published / "model.keras", tmp_path / "images.npy", tmp_path / "answers.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, files)], check=True, capture_output=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(files[2]), answers(published, squares), atol=1e-6)


def test_the_worker_serves_it(published: Path, card: ModelCard, squares: Dataset) -> None:
    import tensorflow as tf

    threads = tf.config.threading.get_intra_op_parallelism_threads()
    served = compiled(published / "model.keras", card, threads)(squares.x_test)
    np.testing.assert_allclose(served, answers(published, squares), atol=1e-5)
    np.testing.assert_allclose(served.sum(axis=1), 1, atol=1e-5)
    assert card.metrics.accuracy == np.mean(served.argmax(axis=1) == squares.y_test)


def test_its_probabilities_are_the_networks_at_the_fitted_temperature(
    published: Path, card: ModelCard, trained: TrainedModel, squares: Dataset
) -> None:
    assert card.calibration is not None
    assert card.views is not None

    network = plain(trained)

    def logits(images: NDArray[np.uint8]) -> NDArray[Any]:
        return evaluate.predict(network, images)

    def of(images: NDArray[np.uint8]) -> NDArray[Any]:
        if card.views and card.views.served == 1:
            return logits(images)
        return np.asarray(sum(weight * logits(view) for weight, view in views.views(images)))

    assert card.calibration.temperature == pytest.approx(
        evaluate.temperature(of(squares.x_val), squares.y_val), rel=1e-3
    )
    expected = views.softmax(of(squares.x_test) / card.calibration.temperature)
    np.testing.assert_allclose(answers(published, squares), expected, atol=1e-5)


def test_calibration_and_views_are_in_the_card(card: ModelCard) -> None:
    assert card.calibration is not None
    assert card.views is not None
    assert card.calibration.error_after == card.metrics.calibration_error
    assert sum(row.count for row in card.calibration.reliability) == 100
    served = card.views.single_accuracy if card.views.served == 1 else card.views.six_accuracy
    assert card.metrics.accuracy == served


def test_both_ways_of_serving_agree_on_the_figures_of_both(both: dict[int, Path]) -> None:
    one, six = (ModelCard.read(folder / "card.json").views for folder in both.values())
    assert one is not None
    assert six is not None
    assert (one.single_accuracy, one.six_accuracy) == (six.single_accuracy, six.six_accuracy)
    assert (one.served, six.served) == (1, 6)


def test_the_optimizer_is_not_published(published: Path) -> None:
    with zipfile.ZipFile(published / "model.keras") as archive, archive.open("model.weights.h5") as weights:
        assert b"momentum" not in weights.read()


def test_a_failed_publication_leaves_nothing(trained: TrainedModel, squares: Dataset, tmp_path: Path) -> None:
    short_of_labels = replace(squares, labels=squares.labels[:9])
    with pytest.raises(ValueError, match="reshape"):
        publish(trained, short_of_labels, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_code_version_is_stable_and_the_presets_own() -> None:
    assert code_version(FAST) == code_version(FAST)
    assert code_version(FAST).startswith("src-")
    assert len({code_version(preset) for preset in presets.PRESETS.values()}) == 4


def test_a_model_trained_in_bfloat16_is_published_in_float32(squares: Dataset) -> None:
    preset = presets.get("seed")
    trained = train(preset, squares, 1, preset.params.changed(epochs=1, batch_size=190, precision="bfloat16"))
    assert {layer.compute_dtype for layer in trained.model.layers} == {"bfloat16", "float32"}
    assert {layer.compute_dtype for layer in plain(trained).layers} == {"float32"}


TINY = ["--preset", "seed", "--seed", "7", "--epochs", "2", "--batch-size", "95", "--learning-rate", "0.002"]


def test_the_command_trains_and_publishes(
    squares_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CIFAR10_SETTING, str(squares_file))
    more = ["--set", "hidden_units=16", "--set", "flip=none", "--checkpoint", str(tmp_path / "checkpoint")]
    assert main([*TINY, *more, "--out", str(tmp_path / "new" / "models")]) == 0
    (folder,) = (tmp_path / "new" / "models").iterdir()
    card = ModelCard.read(folder / "card.json")
    assert (card.params["epochs"], card.params["batch_size"], card.params["learning_rate"]) == (2, 95, 0.002)
    assert (card.params["hidden_units"], card.params["flip"], card.seed) == (16, "none", 7)
    assert len(card.history) == 2
    printed = capsys.readouterr().out
    for expected in ("epoch   1", "epoch   2", "8 steps of", "with six", card.version):
        assert expected in printed
    assert str(squares_file) not in (folder / "card.json").read_text()
    assert (tmp_path / "checkpoint").stat().st_size > 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--epochs", "0"], "epochs should be a whole number from 1 to 1000, not 0."),
        (["--batch-size", "-1"], "batch_size should be"),
        (["--learning-rate", "nan"], "learning_rate should be"),
        (["--seed", "-1"], "seed should be a whole number from 0 to 4294967295, not -1."),
        (["--set", "colour=red"], "colour is no parameter of preset seed."),
        (["--set", "colour"], "--set takes name=value, not colour."),
        (["--set", "kernel_size=x"], "kernel_size should be a whole number from 1 to 5, not 'x'."),
        (["--preset", "sead"], "There is no preset 'sead'"),
    ],
)
def test_a_wrong_option_is_one_line(
    wrong: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*wrong, "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(named)
    assert (printed.err.count("\n"), printed.out) == (1, "")


@pytest.mark.parametrize("wrong", [["--seed", "x"], ["--colour", "red"], ["--epochs"]])
def test_what_is_no_option_is_one_line_too(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_one_line(
    squares_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CIFAR10_SETTING, str(squares_file))
    (tmp_path / "file").touch()
    assert main([*TINY, "--epochs", "1", "--out", str(tmp_path / "file" / "models")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_module_is_the_command() -> None:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "worker.train", "--help"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert "--preset PRESET" in done.stdout
    assert "classic, fast, seed, wide" in done.stdout
