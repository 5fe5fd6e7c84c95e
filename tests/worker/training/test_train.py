import dataclasses
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.domain.card import Epoch
from shared.domain.errors import Conflict, InvalidRequest
from shared.training.presets import ClassicParams, FastParams, SeedParams, TrainingParams
from worker.data.datasets import CIFAR10_SETTING, Dataset
from worker.presets import PRESETS, Preset, Setup
from worker.training.checkpoint import FileCheckpointStore
from worker.training.loop import Callbacks, row_steps, step_groups
from worker.training.progress import Row, TrainingCancelled, TrainingCommand, TrainingDiverged
from worker.training.train import TrainedModel, train

SEED = PRESETS["seed"]
SHORT = SeedParams(seed=1, epochs=1, batch_size=19)
#: 380 training images make 10 steps of 38. The loop is the same for all presets, and tracing `seed` takes a third.
TINY: dict[str, TrainingParams] = {
    "seed": SeedParams(seed=1, epochs=3, batch_size=38, first_filters=4, second_filters=8, hidden_units=16),
    "fast": FastParams(seed=1, epochs=3, batch_size=38, width1=4, width2=8, width3=8),
    "classic": ClassicParams(seed=1, epochs=3, batch_size=38, width=4),
}


class Memory:
    """A store that keeps every checkpoint."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def save(self, content: bytes) -> None:
        self.kept.append(content)

    def load(self) -> bytes | None:
        return self.kept[-1] if self.kept else None


class At:
    """A control that gives a command from a step on, and CONTINUE before."""

    def __init__(self, step: int, order: TrainingCommand) -> None:
        self.step, self.order, self.asked = step, order, list[int]()

    def command(self, step: int) -> TrainingCommand:
        self.asked.append(step)
        return self.order if step >= self.step else TrainingCommand.CONTINUE


def tiny(name: str, dataset: Dataset, callbacks: Callbacks | None = None, **changes: Any) -> TrainedModel:
    return train(PRESETS[name], dataset, TINY[name].model_copy(update=changes), callbacks)


@pytest.fixture(scope="module")
def store() -> Memory:
    """The checkpoints of the undisturbed run."""
    return Memory()


@pytest.fixture(scope="module")
def reported() -> list[Row]:
    """The rows that the undisturbed run reported."""
    return []


@pytest.fixture(scope="module")
def whole(squares: Dataset, store: Memory, reported: list[Row]) -> TrainedModel:
    """An undisturbed run of 30 steps."""
    return tiny("seed", squares, Callbacks(on_row=reported.append, checkpoint=store))


def weights(trained: TrainedModel) -> bytes:
    return b"".join(array.tobytes() for array in trained.model.get_weights())


def timeless(trained: TrainedModel) -> list[dict[str, Any]]:
    return [row.as_dict() | {"at": 0, "images_per_s": 0} for row in trained.rows]


def test_the_network_learns(squares: Dataset) -> None:
    epochs: list[Epoch] = []
    trained = train(SEED, squares, SHORT.model_copy(update={"epochs": 4}), Callbacks(on_epoch=epochs.append))
    assert trained.history == tuple(epochs)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3, 4]
    assert epochs[-1].loss < epochs[0].loss
    answers = trained.model.predict(squares.x_test, verbose=0).argmax(axis=1)
    assert np.mean(answers == squares.y_test) > 0.5


def test_the_network_learns_other_targets_than_the_labels(squares: Dataset) -> None:
    wrong = (squares.y_train + 1) % len(squares.labels)
    targets = np.eye(len(squares.labels), dtype=np.float32)[wrong]
    model = train(SEED, squares, SHORT.model_copy(update={"epochs": 4}), targets=targets).model
    answers = model.predict(squares.x_train, verbose=0).argmax(axis=1)
    assert np.mean(answers == wrong) > 0.5


def test_another_seed_gives_other_weights(whole: TrainedModel, squares: Dataset) -> None:
    other = tiny("seed", squares, Callbacks(control=At(1, TrainingCommand.FINISH)), seed=2)
    assert (whole.setup.seed, other.setup.seed) == (1, 2)
    assert weights(whole) != weights(other)


def test_rows_have_the_progress_and_the_metrics(whole: TrainedModel, reported: list[Row]) -> None:
    rows = whole.rows
    assert list(rows) == reported
    assert [row.n for row in rows] == list(range(1, 19))
    assert [row.step for row in rows] == [2, 4, 5, 7, 9, 10, 12, 14, 15, 17, 19, 20, 22, 24, 25, 27, 29, 30]
    assert [row.epoch for row in rows] == [1] * 6 + [2] * 6 + [3] * 6
    assert {row.steps for row in rows} == {30}
    assert [row.n for row in rows if row.val_loss is not None and row.val_accuracy is not None] == [6, 12, 18]
    assert {row.lr for row in rows} == {whole.params.learning_rate}
    assert all(row.images_per_s > 0 and row.loss > 0 and 0 <= row.accuracy <= 1 for row in rows)
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    names = "n epoch step steps loss accuracy val_loss val_accuracy lr images_per_s at"
    assert list(rows[0].as_dict()) == names.split()


def test_fewer_steps_than_rows_make_a_row_per_step(squares: Dataset) -> None:
    trained = tiny("seed", squares, batch_size=190, epochs=1)
    assert [(row.step, row.val_loss is None) for row in trained.rows] == [(1, True), (2, False)]


def test_an_epoch_is_the_mean_of_its_rows(whole: TrainedModel) -> None:
    rows = [row for row in whole.rows if row.epoch == 2]
    counts = np.diff([10, *(row.step for row in rows)])
    assert whole.history[1].loss == pytest.approx(np.average([row.loss for row in rows], weights=counts), abs=1e-4)
    assert whole.history[1].val_accuracy == rows[-1].val_accuracy


def test_the_best_weights_are_kept(whole: TrainedModel, squares: Dataset) -> None:
    best = min(whole.history, key=lambda epoch: (epoch.val_loss, -epoch.val_accuracy))
    assert whole.best_epoch == best.epoch
    answers = whole.model.predict(squares.x_val, verbose=0).argmax(axis=1)
    assert np.mean(answers == squares.y_val) == pytest.approx(best.val_accuracy, abs=1e-4)


def test_the_profile_counts_the_steps_and_the_input(whole: TrainedModel) -> None:
    profile = whole.profile
    assert profile.steps == 30
    assert 0 < profile.making_s < whole.seconds
    assert 0 <= profile.waiting_s < whole.seconds
    assert profile.step_s + profile.validation_s < whole.seconds + 0.1
    assert "30 steps of" in profile.summary


@pytest.mark.parametrize(("seconds", "goes_on_at"), [(120, 10), (0, 17)])
def test_an_interrupted_run_resumes_exactly(
    seconds: float, goes_on_at: int, whole: TrainedModel, squares: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a run that is stopped in the middle of its second epoch, when it resumes, then nothing differs."""
    monkeypatch.setattr("worker.training.loop.CHECKPOINT_S", seconds)
    store, control, rows = Memory(), At(99, TrainingCommand.CONTINUE), list[Row]()
    with pytest.raises(TrainingCancelled, match="after 17 of 30 steps"):
        tiny("seed", squares, Callbacks(control=At(16, TrainingCommand.CANCEL), checkpoint=store))
    resumed = tiny("seed", squares, Callbacks(on_row=rows.append, control=control, checkpoint=store))
    assert control.asked == [step for step in (10, 12, 14, 15, 17, 19, 20, 22, 24, 25, 27, 29) if step >= goes_on_at]
    assert timeless(resumed) == timeless(whole)
    assert rows == list(resumed.rows[-len(rows) :])
    assert [epoch.model_copy(update={"seconds": 0}) for epoch in resumed.history] == [
        epoch.model_copy(update={"seconds": 0}) for epoch in whole.history
    ]
    assert resumed.best_epoch == whole.best_epoch
    assert weights(resumed) == weights(whole)


@pytest.mark.parametrize("name", ["classic", "fast"])
def test_dropout_and_other_optimizers_resume_exactly(name: str, squares: Dataset) -> None:
    store = Memory()
    undisturbed = tiny(name, squares, Callbacks(checkpoint=store), epochs=2)
    if name == "fast":  # its learning rate falls to zero
        begun = [0, *(row.step for row in undisturbed.rows[:-1])]
        rates = [undisturbed.params.learning_rate * (1 - step / 20) for step in begun]
        assert [row.lr for row in undisturbed.rows] == pytest.approx(rates, rel=1e-5)
    del store.kept[1:]
    resumed = tiny(name, squares, Callbacks(checkpoint=store), epochs=2)
    assert resumed.profile.steps == 10
    assert timeless(resumed) == timeless(undisturbed)
    assert weights(resumed) == weights(undisturbed)


def test_a_finished_run_takes_no_more_steps(whole: TrainedModel, store: Memory, squares: Dataset) -> None:
    control = At(0, TrainingCommand.CANCEL)
    again = tiny("seed", squares, Callbacks(control=control, checkpoint=store))
    assert control.asked == []
    assert timeless(again) == timeless(whole)
    assert weights(again) == weights(whole)


KILLED = """
import os, signal
from pathlib import Path
from shared.training.presets import SeedParams
from worker.presets import PRESETS
from worker.training.checkpoint import FileCheckpointStore
from worker.data.datasets import load_cifar10
from worker.training.progress import TrainingCommand
from worker.training.loop import Callbacks
from worker.training.train import train

class Killer:
    def command(self, step):
        if step == 24:
            os.kill(os.getpid(), signal.SIGKILL)
        return TrainingCommand.CONTINUE

params = SeedParams(seed=1, epochs=3, batch_size=38, first_filters=4, second_filters=8, hidden_units=16)
store = FileCheckpointStore(Path({path!r}))
train(PRESETS["seed"], load_cifar10(), params, Callbacks(control=Killer(), checkpoint=store))
"""


def test_another_process_resumes_a_killed_one_exactly(
    whole: TrainedModel, squares: Dataset, squares_file: Path, tmp_path: Path
) -> None:
    """Given a process killed with SIGKILL in its third epoch, when another resumes, then rows and weights are equal."""
    path = tmp_path / "checkpoint"
    environment = os.environ | {CIFAR10_SETTING: str(squares_file)}
    command = [sys.executable, "-c", KILLED.format(path=str(path))]
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    control = At(99, TrainingCommand.CONTINUE)
    resumed = tiny("seed", squares, Callbacks(control=control, checkpoint=FileCheckpointStore(path)))
    assert control.asked[0] == 20
    assert timeless(resumed) == timeless(whole)
    assert weights(resumed) == weights(whole)


@pytest.mark.usefixtures("whole")
def test_a_checkpoint_with_other_parameters_is_refused(store: Memory, squares: Dataset) -> None:
    with pytest.raises(Conflict, match="params"):
        tiny("seed", squares, Callbacks(checkpoint=store), epochs=2)


def test_finishing_early_validates_and_keeps_the_best(squares: Dataset) -> None:
    trained = tiny("seed", squares, Callbacks(control=At(13, TrainingCommand.FINISH)))
    assert [(row.step, row.val_loss is None) for row in trained.rows[-3:]] == [(12, True), (14, True), (15, False)]
    assert [epoch.epoch for epoch in trained.history] == [1, 2]
    assert trained.best_epoch == min(trained.history, key=lambda row: (row.val_loss, -row.val_accuracy)).epoch


@pytest.mark.parametrize(("asked_at", "ends_at"), [(0, 2), (10, 10)])
def test_finishing_early_has_validated_once(asked_at: int, ends_at: int, squares: Dataset) -> None:
    trained = tiny("seed", squares, Callbacks(control=At(asked_at, TrainingCommand.FINISH)))
    assert trained.rows[-1].step == ends_at
    assert trained.rows[-1].val_accuracy is not None
    assert len(trained.history) == 1


def test_groups_do_not_change_the_steps(whole: TrainedModel, squares: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given rows of one or two steps, when each step is a separate call, then the rows have the same means."""
    monkeypatch.setattr("worker.training.steps.GROUP_PIXELS", 1)
    control = At(99, TrainingCommand.CONTINUE)
    single = tiny("seed", squares, Callbacks(control=control))
    assert control.asked == list(range(30))
    assert [row.loss for row in single.rows] == pytest.approx([row.loss for row in whole.rows], abs=1e-5)
    assert [row.accuracy for row in single.rows] == pytest.approx([row.accuracy for row in whole.rows], abs=1e-5)
    assert len({row.loss for row in single.rows}) == 18


def test_groups_cover_all_steps_and_end_with_rows() -> None:
    groups = list(step_groups(5, 40, steps=20, size=3))
    assert [step for group in groups for step in group] == list(range(5, 40))
    assert max(len(group) for group in groups) == 3
    assert {20 * epoch + mark for epoch in (0, 1) for mark in row_steps(20)} - {4} <= {group.stop for group in groups}


def test_patience_ends_a_training_without_improvement(squares: Dataset) -> None:
    trained = tiny(
        "fast", squares, learning_rate=1e-6, bias_learning_rate=1e-6, head_learning_rate=1e-6, patience=1, epochs=9
    )
    assert len(trained.history) == trained.best_epoch + 1 < 9


def test_an_exception_in_a_callback_ends_the_training(squares: Dataset) -> None:
    def stop(row: Row) -> None:
        raise KeyboardInterrupt(row.step)

    with pytest.raises(KeyboardInterrupt, match="2"):
        tiny("seed", squares, Callbacks(on_row=stop))


class Poison:
    """Sets a weight of the network to NaN before a step, as an overflow does."""

    def __init__(self, preset: Preset[Any], step: int) -> None:
        self.preset = dataclasses.replace(preset, build=self.build)
        self._build, self._step = preset.build, step

    def build(self, params: TrainingParams, setup: Setup) -> Any:
        self._model = self._build(params, setup)
        return self._model

    def command(self, step: int) -> TrainingCommand:
        if step == self._step:
            self._model.layers[-1].bias.assign(np.full(10, np.nan))
        return TrainingCommand.CONTINUE


def test_a_diverging_training_fails_and_keeps_its_last_good_checkpoint(squares: Dataset) -> None:
    store, rows, poison = Memory(), list[Row](), Poison(SEED, 30)
    callbacks = Callbacks(on_row=rows.append, control=poison, checkpoint=store)
    with pytest.raises(TrainingDiverged, match="diverged in epoch 2: try a smaller learning rate"):
        train(poison.preset, squares, SHORT.model_copy(update={"epochs": 3}), callbacks)
    assert len(store.kept) == 1
    assert all(math.isfinite(row.loss) for row in rows)
    assert issubclass(TrainingDiverged, InvalidRequest)


@pytest.fixture(scope="module")
def base(whole: TrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("seed-1") / "model.keras"
    whole.model.save(file)
    return file


def test_training_starts_from_a_published_model(base: Path, whole: TrainedModel, squares: Dataset) -> None:
    params = whole.params.model_copy(update={"seed": 2, "epochs": 1, "learning_rate": 1e-3})
    trained = train(whole.preset, squares, params, base=base)
    assert trained.history[0].loss < whole.history[0].loss


def test_a_base_of_another_network_is_refused(base: Path, squares: Dataset) -> None:
    with pytest.raises(Conflict, match=r"seed-1.* is another network"):
        train(SEED, squares, SHORT, base=base)
