import hashlib
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shared.domain.card import ANSWERS_FILE, ModelCard
from shared.domain.errors import Conflict
from shared.models.answers import unpack_answers
from shared.models.registry import Registry
from shared.training.presets import FastParams, SeedParams
from worker.data.datasets import CIFAR10_SETTING, Dataset
from worker.evaluation import evaluate
from worker.evaluation.confusions import confusion_image
from worker.evaluation.measurements import ViewsServed
from worker.presets import PRESETS
from worker.publishing.publish import Provenance, publish_file
from worker.runtime.process import threads_per_process
from worker.serving import forward, keras_runtime, openvino_runtime, tta
from worker.serving.models import ModelCache
from worker.training.command import main
from worker.training.publish_trained import code_version, in_float32, publish_trained, with_probabilities
from worker.training.train import TrainedModel, train

FAST = PRESETS["fast"]
PARAMS = FastParams(seed=1, epochs=2, batch_size=38, width1=4, width2=8, width3=8)


pytestmark = pytest.mark.usefixtures("few_passes")


@pytest.fixture(scope="module")
def trained(squares: Dataset) -> TrainedModel:
    return train(FAST, squares, PARAMS)


@pytest.fixture(scope="module")
def folders(trained: TrainedModel, squares: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Publish one network for each number of views and return the folders; adaptive is the preset's default."""
    folders = {}
    for served in get_args(ViewsServed):
        out = tmp_path_factory.mktemp("models")
        folders[served] = (
            out / publish_trained(trained, squares, out, served=None if served == "adaptive" else served).version
        )
    return folders


@pytest.fixture(params=get_args(ViewsServed))
def published(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture
def card(published: Path) -> ModelCard:
    return ModelCard.read(published / "card.json")


def load(published: Path) -> Any:
    return keras.saving.load_model(published / "model.keras", compile=False, safe_mode=True)


@pytest.fixture
def answers(published: Path, card: ModelCard, threads: int, squares: Dataset) -> NDArray[Any]:
    """Return the output of a worker that serves the version, for the test images."""
    return evaluate.predict_served(
        ModelCache(Registry(published.parent), threads).get(card.version).forward, squares.x_test
    )


def test_the_folder_is_complete(published: Path) -> None:
    measures = {"confusions.png", "test_predictions.bin", "test_truth.bin"}
    assert {path.name for path in published.iterdir()} == {"card.json", "model.keras", "openvino.zip"} | measures
    assert [path.name for path in published.parent.iterdir()] == [published.name]


def test_answers_to_the_pictures_of_an_owner_are_kept(trained: TrainedModel, squares: Dataset, tmp_path: Path) -> None:
    """They have the numbers of the pictures in the Dataset, which CIFAR-10's images do not have."""
    numbers = np.arange(len(squares.y_test)) * 3 + 1
    card = publish_trained(trained, replace(squares, test_numbers=numbers), tmp_path, served="one")
    kept = unpack_answers((tmp_path / card.version / ANSWERS_FILE).read_bytes())
    assert [(each.n, each.label) for each in kept] == list(zip(numbers, squares.y_test, strict=True))
    assert sum(each.right for each in kept) / len(kept) == pytest.approx(card.metrics.accuracy)
    assert all(0 <= each.score <= 1 and each.novelty is None for each in kept)


def test_the_card_describes_the_file(published: Path, card: ModelCard, trained: TrainedModel, squares: Dataset) -> None:
    content = (published / "model.keras").read_bytes()
    assert card.version == published.name
    assert card.file_sha256 == hashlib.sha256(content).hexdigest()
    assert card.openvino_sha256 == hashlib.sha256((published / "openvino.zip").read_bytes()).hexdigest()
    assert card.size.file_bytes == len(content)
    assert card.size.parameters == trained.model.count_params()
    assert (card.preset, card.seed, card.params) == ("fast", 1, PARAMS.hyperparameters())
    assert (card.dataset.train, card.dataset.validation, card.dataset.test) == (380, 20, 100)
    assert card.dataset.digest == squares.digest
    assert (card.history, card.best_epoch) == (trained.history, trained.best_epoch)


def test_keras_alone_can_load_the_file(folders: dict[str, Path], squares: Dataset, tmp_path: Path) -> None:
    """The file holds the network for one view, however many are served."""
    published = folders["adaptive"]
    np.save(tmp_path / "images.npy", squares.x_test)
    code = (
        "import sys, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)\n"
        "np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))\n"
    )
    files = [published / "model.keras", tmp_path / "images.npy", tmp_path / "answers.npy"]
    subprocess.run([sys.executable, "-c", code, *map(str, files)], check=True, capture_output=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(files[2]), evaluate.predict(load(published), squares.x_test), atol=1e-6)


def test_the_card_describes_the_served_model(card: ModelCard, answers: NDArray[Any], squares: Dataset) -> None:
    assert card.metrics is not None
    assert card.views is not None
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    assert card.metrics.accuracy == np.mean(answers.argmax(axis=1) == squares.y_test)
    assert card.metrics.loss == pytest.approx(evaluate.cross_entropy(answers, squares.y_test), rel=1e-3)


def test_predictions_on_the_test_images_are_kept(published: Path, answers: NDArray[Any], squares: Dataset) -> None:
    predictions = np.frombuffer((published / "test_predictions.bin").read_bytes(), np.uint8)
    np.testing.assert_array_equal(predictions, answers.argmax(axis=1))
    assert (published / "test_truth.bin").read_bytes() == squares.y_test.tobytes()


def test_the_confusion_image_is_published(published: Path, answers: NDArray[Any], squares: Dataset) -> None:
    with Image.open(published / "confusions.png") as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (10 * 3 * 32, 10 * 32))
        np.testing.assert_array_equal(np.asarray(picture), confusion_image(squares.x_test, squares.y_test, answers))


def test_the_file_outputs_probabilities_at_the_fitted_temperature(
    published: Path, card: ModelCard, trained: TrainedModel, squares: Dataset
) -> None:
    assert card.calibration is not None
    network = in_float32(trained)
    fitted = evaluate.temperature(evaluate.predict(network, squares.x_val), squares.y_val)
    assert card.calibration.temperature == pytest.approx(fitted, rel=1e-3)
    expected = tta.softmax(evaluate.predict(network, squares.x_test) / fitted)
    np.testing.assert_allclose(evaluate.predict(load(published), squares.x_test), expected, atol=1e-4)


def test_calibration_is_that_of_the_served_model(card: ModelCard) -> None:
    assert card.calibration is not None
    assert card.metrics is not None
    assert card.calibration.error_after == card.metrics.calibration_error
    assert sum(row.count for row in card.calibration.reliability) == 100


def test_accuracies_agree_for_all_numbers_of_views(folders: dict[str, Path]) -> None:
    cards = {served: ModelCard.read(folder / "card.json") for served, folder in folders.items()}
    found = {served: card.views for served, card in cards.items() if card.views}
    assert {served: views.served for served, views in found.items()} == {"one": 1, "six": 6, "adaptive": "adaptive"}
    assert len({(views.single_accuracy, views.six_accuracy) for views in found.values()}) == 1
    assert cards["one"].metrics and cards["one"].metrics.accuracy == found["one"].single_accuracy
    assert cards["six"].metrics and cards["six"].metrics.accuracy == found["six"].six_accuracy


def test_the_threshold_is_fitted_to_the_validation_images(folders: dict[str, Path], squares: Dataset) -> None:
    adaptive = ModelCard.read(folders["adaptive"] / "card.json").views
    assert adaptive is not None
    model = load(folders["adaptive"])
    one, six = (forward.with_tta(keras_runtime.compiled(model), below) for below in (forward.NEVER, forward.ALWAYS))
    threshold = tta.choose_threshold(one(squares.x_val), six(squares.x_val))
    assert (adaptive.threshold, adaptive.share) == (threshold, np.mean(one(squares.x_test).max(axis=1) < threshold))
    assert 0 < threshold <= 1


@pytest.fixture
def saved(trained: TrainedModel, tmp_path: Path) -> Path:
    """Save a model whose origin is unknown."""
    file = tmp_path / "somebodys.keras"
    with_probabilities(in_float32(trained), 0.5).save(file)
    return file


ABOUT = Provenance(preset="imported", params={}, labels=tuple("abcdefghij"), source="somebodys.keras")


def test_a_file_of_any_network_can_be_published(saved: Path, squares: Dataset, tmp_path: Path) -> None:
    card = publish_file(saved, replace(ABOUT, labels=squares.labels), tmp_path / "models", squares)
    assert card.metrics is not None
    assert card.views is not None
    assert (card.source, card.seed, card.calibration, card.views.served) == ("somebodys.keras", None, None, 1)
    assert (tmp_path / "models" / card.version / "model.keras").read_bytes() == saved.read_bytes()
    assert card.version == f"imported-{ABOUT.created_at:%Y%m%d}-{hashlib.sha256(saved.read_bytes()).hexdigest()[:8]}"


def test_a_file_can_be_published_without_a_dataset(saved: Path, tmp_path: Path) -> None:
    card = publish_file(saved, ABOUT, tmp_path / "models")
    assert (card.dataset, card.metrics, card.views, card.labels) == (None, None, None, tuple("abcdefghij"))
    assert card.latency.single_image_ms > 0
    files = (tmp_path / "models" / card.version).iterdir()
    assert sorted(path.name for path in files) == ["card.json", "model.keras", "openvino.zip"]


def without(_model: Any, _file: Path, *_others: Any) -> None:
    raise RuntimeError("No conversion rule found for operations: Novelty")


def wrong(model: Any, file: Path, *others: Any, export: Callable[..., None] = openvino_runtime.export) -> None:
    export(keras.models.clone_model(model), file, *others)


@pytest.fixture(params=[(without, "Novelty"), (wrong, "differs from that of Keras")], ids=["without", "wrong"])
def reason(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return why OpenVINO cannot run the model, as it is logged."""
    export, text = request.param
    monkeypatch.setattr(openvino_runtime, "export", export)
    return str(text)


def test_a_model_that_openvino_cannot_run_is_served_by_keras(
    reason: str, saved: Path, squares: Dataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = publish_file(saved, replace(ABOUT, labels=squares.labels), tmp_path / "models", squares)
    assert reason in caplog.text
    assert (card.openvino_sha256, (tmp_path / "models" / card.version / "openvino.zip").exists()) == (None, False)
    forward = ModelCache(Registry(tmp_path / "models"), threads_per_process(1)).get(card.version).forward
    expected = evaluate.predict(load(tmp_path / "models" / card.version), squares.x_test)
    np.testing.assert_allclose(evaluate.predict_served(forward, squares.x_test), expected, atol=1e-5)
    assert card.metrics is not None
    assert card.metrics.accuracy == np.mean(expected.argmax(axis=1) == squares.y_test)


def test_a_version_is_never_overwritten(saved: Path, tmp_path: Path) -> None:
    card = publish_file(saved, ABOUT, tmp_path / "models")
    content = (tmp_path / "models" / card.version / "card.json").read_bytes()
    with pytest.raises(Conflict, match=card.version):
        publish_file(saved, replace(ABOUT, params={"other": 1}), tmp_path / "models")
    assert (tmp_path / "models" / card.version / "card.json").read_bytes() == content
    assert [path.name for path in (tmp_path / "models").iterdir()] == [card.version]


def test_the_optimizer_is_not_published(published: Path) -> None:
    with zipfile.ZipFile(published / "model.keras") as archive, archive.open("model.weights.h5") as weights:
        assert b"momentum" not in weights.read()


def test_a_failed_publication_leaves_nothing(trained: TrainedModel, squares: Dataset, tmp_path: Path) -> None:
    short_of_labels = replace(squares, labels=squares.labels[:9])
    with pytest.raises(ValueError, match="reshape"):
        publish_trained(trained, short_of_labels, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_code_version_is_stable_and_depends_on_the_preset() -> None:
    assert code_version(FAST) == code_version(FAST)
    assert code_version(FAST).startswith("src-")
    assert len({code_version(PRESETS[name]) for name in ("seed", "classic", "fast")}) == 3


def test_a_model_trained_in_bfloat16_is_published_in_float32(squares: Dataset) -> None:
    preset = PRESETS["seed"]
    trained = train(preset, squares, SeedParams(seed=1, epochs=1, batch_size=190, precision="bfloat16"))
    assert {layer.compute_dtype for layer in trained.model.layers} == {"bfloat16", "float32"}
    assert {layer.compute_dtype for layer in in_float32(trained).layers} == {"float32"}


TINY = ["--preset", "seed", "--seed", "7", "--epochs", "2", "--batch-size", "95", "--learning-rate", "0.002"]


def test_the_command_trains_and_publishes(
    squares_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CIFAR10_SETTING, str(squares_file))
    more = [
        "--set",
        "hidden_units=16",
        "--set",
        "flip=none",
        "--views",
        "adaptive",
        "--checkpoint",
        str(tmp_path / "checkpoint"),
    ]
    assert main([*TINY, *more, "--out", str(tmp_path / "new" / "models")]) == 0
    (folder,) = (tmp_path / "new" / "models").iterdir()
    card = ModelCard.read(folder / "card.json")
    assert card.views is not None
    assert card.views.served == "adaptive"
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
        (["--set", "colour=red"], "colour is not a parameter of preset seed."),
        (["--set", "colour"], "--set needs name=value"),
        (["--set", "kernel_size=x"], 'kernel_size should be a whole number from 1 to 5, not "x".'),
        (["--set", "promote=always"], "--set needs name=value"),
        (["--preset", "sead"], "preset should be one of seed, classic, fast, wide"),
    ],
)
def test_a_wrong_value_is_reported_in_one_line(
    wrong: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*wrong, "--out", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(named)
    assert (printed.err.count("\n"), printed.out) == (1, "")


@pytest.mark.parametrize("wrong", [["--seed", "x"], ["--views", "two"], ["--colour", "red"], ["--epochs"]])
def test_an_unknown_option_is_reported_in_one_line(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unwritable_folder_is_reported_in_one_line(
    squares_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(CIFAR10_SETTING, str(squares_file))
    (tmp_path / "file").touch()
    assert main([*TINY, "--epochs", "1", "--out", str(tmp_path / "file" / "models")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_module_is_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["training", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("worker.training", run_name="__main__")
    printed = capsys.readouterr().out
    assert "--preset PRESET" in printed
    assert "classic, distil, fast, seed, wide" in printed
