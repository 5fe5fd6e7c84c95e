import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.domain.card import Epoch
from shared.domain.errors import Conflict, NotFound
from worker.training.checkpoint import FileCheckpointStore, NoCheckpoints, named_variables, pack, restore
from worker.training.progress import Best, Progress, Row

IDENTITY = {"preset": "fast", "params": {"epochs": 8}, "seed": 1}


def variables(value: float, size: int = 3) -> dict[str, Any]:
    return named_variables(
        {"network": [keras.Variable(np.full(size, value))], "optimizer": [keras.Variable(int(value))]}
    )


def progress() -> Progress:
    row = Row(1, 1, 5, 10, 2.0, 0.5, None, None, 0.1, 99.5, 1e9)
    epoch = Epoch(epoch=1, loss=2.0, accuracy=0.5, val_loss=1.5, val_accuracy=0.6, seconds=3)
    return Progress(5, [row], [epoch], Best(1, 0.6, 1.5, [np.arange(4.0), np.zeros((2, 2))]), 12.5)


def test_a_checkpoint_restores_everything() -> None:
    target, before = variables(0), progress()
    after = restore(pack(before, variables(7), IDENTITY), target, IDENTITY)
    assert [variable.numpy().tolist() for variable in target.values()] == [[7, 7, 7], 7]
    assert (after.step, after.rows, after.history, after.seconds) == (5, before.rows, before.history, 12.5)
    assert before.best is not None
    assert after.best is not None
    assert (after.best.epoch, after.best.val_accuracy, after.best.val_loss) == (1, 0.6, 1.5)
    for old, new in zip(before.best.weights, after.best.weights, strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_checkpoint_without_best_weights() -> None:
    assert restore(pack(Progress(), variables(7), IDENTITY), variables(0), IDENTITY).best is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"seed": 2}, ": seed differ"), ({"params": {"epochs": 9}, "base": "x"}, ": base, params differ")],
)
def test_a_checkpoint_of_another_run_names_the_difference(changes: dict[str, Any], message: str) -> None:
    target = variables(0)
    with pytest.raises(Conflict, match=message):
        restore(pack(progress(), variables(7), IDENTITY), target, IDENTITY | changes)
    assert target["network/0"].numpy().tolist() == [0, 0, 0]


def test_a_checkpoint_of_another_network_is_refused() -> None:
    with pytest.raises(Conflict, match="another network"):
        restore(pack(progress(), variables(7), IDENTITY), variables(0, size=4), IDENTITY)


@pytest.mark.parametrize(
    "damage", [lambda _: b"", lambda _: b"no archive", lambda whole: whole[:200], lambda _: b"PK\x03\x04"]
)
def test_a_damaged_checkpoint_is_an_error(damage: Any) -> None:
    with pytest.raises(Conflict, match="damaged"):
        restore(damage(pack(progress(), variables(7), IDENTITY)), variables(0), IDENTITY)


def test_a_file_is_replaced_atomically(tmp_path: Path) -> None:
    store = FileCheckpointStore(tmp_path / "run")
    assert store.load() is None
    store.save(b"old")
    store.save(b"new")
    assert store.load() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileCheckpointStore(tmp_path / "run")
    store.save(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.save(b"new")
    assert store.load() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_missing_folder_is_named_variables(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        FileCheckpointStore(tmp_path / "nowhere" / "run").save(b"")


def test_no_checkpoints_are_kept() -> None:
    NoCheckpoints().save(b"something")
    assert NoCheckpoints().load() is None


@pytest.mark.parametrize(
    ("accuracy", "loss", "better"),
    [(0.5, 1.4, True), (0.7, 1.6, False), (0.7, 1.5, True), (0.6, 1.5, False), (0.5, 1.5, False)],
)
def test_a_smaller_loss_is_better(accuracy: float, loss: float, better: bool) -> None:
    assert Best(1, 0.6, 1.5, []).beaten_by(accuracy, loss) is better
