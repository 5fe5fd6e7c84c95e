"""The environment of the programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.stack.environment import environment
from shared.settings import Settings
from tests import hostile

URL = "redis://127.0.0.1:6379/0"
#: Variables that the programs of a person's machine need.
THEIRS = {"LANG": "de_DE.UTF-8", "TZ": "Asia/Kathmandu", "AWS_REGION": "eu-1", "https_proxy": "http://proxy:3128"}
GPU = {"CUDA_VISIBLE_DEVICES": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def test_what_is_set_for_other_programs_is_left_out(tmp_path: Path) -> None:
    given = hostile.environment(tmp_path / "home")
    made = environment(given, Settings(data_dir=tmp_path), URL)
    assert {name for name in given if made.get(name) == given[name]} == {"HOME", "LC_ALL"}
    assert made["KERAS_BACKEND"] == "tensorflow"
    assert not (Path(made["KERAS_HOME"]) / "keras.json").exists()


def test_everything_else_is_kept(tmp_path: Path) -> None:
    given = THEIRS | GPU | {"DARKROOM_PORT": "5001", "MALLOC_ARENA_MAX": "4", "PATH": "/bin"}
    made = environment(given, Settings(data_dir=tmp_path), URL)
    assert {**made, **given, "PATH": made["PATH"]} == made
    assert made["PATH"].endswith(":/bin")


def test_paths_hold_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = environment({}, Settings(data_dir=tmp_path, cifar10=Path("cifar10.npz")), URL)
    assert made["DARKROOM_CIFAR10"] == str(tmp_path / "cifar10.npz")


def test_datasets_that_keras_has_downloaded_are_found(tmp_path: Path) -> None:
    """Given a dataset in the person's home, each start finds it."""
    (tmp_path / ".keras" / "datasets").mkdir(parents=True)
    (tmp_path / ".keras" / "datasets" / "cifar").touch()
    given = {"KERAS_HOME": str(tmp_path / ".keras")}
    for _ in range(2):
        made = environment(given, Settings(data_dir=tmp_path / "data"), URL)
        assert (Path(made["KERAS_HOME"]) / "datasets" / "cifar").is_file()
