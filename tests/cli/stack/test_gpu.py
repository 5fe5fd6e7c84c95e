"""`--gpu` on a machine without an NVIDIA GPU. No test has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.stack import gpu
from shared import nvidia
from shared.domain.errors import ConfigError
from tests.cli.kit import darkroom
from tests.conftest import ROOT

JOIN = ["join", "--redis", "redis://127.0.0.1:1/0", "--storage", "s3://bucket/x"]


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path at which an NVIDIA driver is looked for; there is no file yet."""
    monkeypatch.setattr(gpu, "DRIVER", tmp_path / "nvidiactl")
    return tmp_path / "nvidiactl"


@pytest.mark.skipif(gpu.DRIVER.exists(), reason="this machine has an NVIDIA driver")
@pytest.mark.parametrize("words", [["up"], JOIN], ids=["up", "join"])
def test_a_gpu_that_is_not_there_is_a_line(tmp_path: Path, words: list[str]) -> None:
    done = darkroom("", tmp_path, *words, "--gpu")
    assert done.returncode == 1 and done.stdout == ""
    assert [
        line for line in done.stderr.splitlines() if "there is no NVIDIA driver" in line
    ] == done.stderr.splitlines()


def test_a_driver_without_a_gpu_that_tensorflow_finds_is_a_line(driver: Path) -> None:
    driver.touch()
    with pytest.raises(ConfigError, match="TensorFlow finds no GPU"):
        gpu.announce(wanted=True)


def test_a_driver_is_pointed_out(driver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.announce(wanted=False)
    assert capsys.readouterr().out == ""
    driver.touch()
    gpu.announce(wanted=False)
    assert "with --gpu" in capsys.readouterr().out


def test_the_start_script_looks_for_the_same_driver() -> None:
    """It imports nothing, so it has the path as well."""
    assert f'DRIVER = Path("{nvidia.DRIVER}")\n' in (ROOT / "darkroom").read_text()
