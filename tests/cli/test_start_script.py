"""`./darkroom` itself: installing once, and what stops it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from shared.nvidia import DRIVER
from tests import programs
from tests.conftest import PATIENCE_S, ROOT, wait_until

#: Stands for uv: it creates the environment at once; its first installation waits until it is interrupted.
UV = """\
#!/bin/sh
case "$1" in
venv) for folder; do :; done; mkdir -p "$folder/bin"; ln -sf "$FAKE_PYTHON" "$folder/bin/python" ;;
pip) [ -e interrupted ] || { touch interrupted; exec sleep 600; } ;;
esac
"""
#: Stands for the command in the environment.
PYTHON = '#!/bin/sh\necho "$@"; env\n'
#: Runs the command that follows in a terminal of its own, where it types what it reads.
TERMINAL = [sys.executable, "-c", "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"]
#: Runs the command that follows in the background of its terminal.
BACKGROUND = ["sh", "-mc", '"$@" & wait', "sh"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the start script and a uv, which installs nothing."""
    folder = tmp_path / "check out %#;'é"
    folder.mkdir()
    for name in ("darkroom", *(f"requirements{part}.txt" for part in ("", "-gpu", "-test", "-bench"))):
        shutil.copy(ROOT / name, folder / name)
    for name, text in (("uv", UV), ("fake", PYTHON)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def start(checkout: Path, *words: str, within: Sequence[str] = (), **more: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(checkout), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "FAKE_PYTHON": str(checkout / "fake"), "LC_ALL": "C", **more}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | {"start_new_session": True}
    command = [*within, sys.executable, str(checkout / "darkroom"), *(words or ("keys", "list"))]
    return subprocess.Popen(command, cwd=checkout, env=environment, text=True, **pipes)


def test_an_interrupted_installation_goes_on_at_the_next_start(checkout: Path) -> None:
    first = start(checkout)
    wait_until((checkout / "interrupted").exists, "it installs")
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does
    _, told = first.communicate()
    assert first.returncode == 130
    assert [line.split(":")[0].split(" ")[0] for line in told.splitlines()] == ["Installing", "darkroom"]

    second = start(checkout, PYTHONOPTIMIZE="2", PYTHONWARNINGS="error", PYTHONPATH="/theirs")
    output, told = second.communicate()
    assert second.returncode == 0 and "Installing" in told
    ran, *environment = output.splitlines()
    assert ran == "-m cli keys list"
    assert sorted(line for line in environment if line.startswith("PYTHON")) == [
        f"PYTHONPATH={checkout}",
        "PYTHONSAFEPATH=1",
    ]

    third = start(checkout)
    assert "Installing" not in third.communicate()[1]


def test_an_environment_of_another_python_is_made_anew(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("")
    environment = checkout / ".venv"
    environment.mkdir()
    (environment / "pyvenv.cfg").write_text("version = 3.11.0\n")
    (environment / "old").touch()
    start(checkout, PATH="/nowhere").communicate()  # without uv; there is no command line to run afterwards
    assert (environment / "bin" / "pip").exists() and not (environment / "old").exists()


def test_a_read_only_checkout_without_an_environment_is_named(checkout: Path) -> None:
    with programs.read_only(checkout):
        process = start(checkout)
        _, told = process.communicate()
    assert process.returncode == 1
    assert told == f"darkroom: cannot install requirements.txt: {checkout}/.venv.lock: Read-only file system\n"


@pytest.mark.skipif(DRIVER.exists(), reason="this machine has an NVIDIA driver")
def test_without_a_driver_nothing_is_installed_for_a_gpu(checkout: Path) -> None:
    process = start(checkout, "join", "--redis", "redis://host/0", "--gpu")
    _, told = process.communicate()
    assert process.returncode == 1 and len(told.splitlines()) == 1
    assert told.startswith("darkroom: --gpu: there is no NVIDIA driver")
    assert not (checkout / "interrupted").exists() and not (checkout / ".venv-gpu").exists()


@pytest.fixture
def with_driver(checkout: Path) -> Path:
    """Return a checkout whose script finds an NVIDIA driver, and whose installations end at once."""
    script, driver = checkout / "darkroom", checkout / "driver"
    script.write_text(script.read_text().replace(str(DRIVER), str(driver)))
    for file in (driver, checkout / "interrupted"):
        file.touch()
    return checkout


def printed(checkout: Path, typed: str, *words: str, within: Sequence[str] = TERMINAL, CI: str = "") -> str:  # noqa: N803
    """Return all that a start prints in a terminal in which this is typed."""
    process = start(checkout, *words, within=within, CI=CI)
    output, told = process.communicate(typed, PATIENCE_S)
    assert process.returncode == 0
    return output + told


def test_a_person_who_agrees_uses_the_gpu_from_then_on(with_driver: Path) -> None:
    first = printed(with_driver, "y\n", "up")
    assert "Use its GPU?" in first and "Installing requirements-gpu.txt" in first and "-m cli up --gpu" in first
    assert (with_driver / ".venv-gpu").exists() and not (with_driver / ".venv").exists()

    later = printed(with_driver, "", "join", "--train", within=())  # not in a terminal
    assert "-m cli join --train --gpu" in later and "delete it to be asked again" in later


@pytest.mark.parametrize("typed", ["\n", "n\n"])
def test_a_person_who_does_not_agree_is_not_asked_again(with_driver: Path, typed: str) -> None:
    for asked in (True, False):
        output = printed(with_driver, typed, "up")
        assert ("Use its GPU?" in output) == asked and "-m cli up\n" in output
    assert not (with_driver / ".venv-gpu").exists()


def test_the_end_of_the_input_is_no_answer(with_driver: Path) -> None:
    assert "-m cli up\n" in printed(with_driver, "\x04", "up")
    assert not (with_driver / ".gpu").exists()


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["up"], {"within": ()}),
        (["up"], {"within": [*TERMINAL, *BACKGROUND]}),
        (["up"], {"CI": "true"}),
        (["up", "--help"], {}),
        (["up", "--gpu"], {}),
        (["keys", "list"], {}),
    ],
    ids=["no terminal", "background", "CI", "help", "--gpu", "another command"],
)
def test_nobody_is_asked(with_driver: Path, words: list[str], options: dict[str, Any]) -> None:
    output = printed(with_driver, "y\n", *words, **options)
    assert f"-m cli {' '.join(words)}" in output.splitlines() and "GPU?" not in output
    assert not (with_driver / ".gpu").exists()


def test_without_a_driver_nobody_is_asked(with_driver: Path) -> None:
    (with_driver / "driver").unlink()
    assert "GPU?" not in printed(with_driver, "y\n", "up")


def test_help_about_tests_and_benchmarks_installs_nothing_for_them(checkout: Path) -> None:
    process = start(checkout, "test", "--help")
    _, told = process.communicate()
    assert "`./darkroom test` runs all tests" in told and "Installing" not in told, "there is no environment yet"

    (checkout / "interrupted").touch()  # installations end at once
    start(checkout).communicate()
    process = start(checkout, "bench", "--help")
    output, told = process.communicate()
    assert output.splitlines()[0] == "-m cli bench --help" and told == ""


def test_a_colon_in_the_path_is_named(checkout: Path) -> None:
    moved = checkout.with_name("a:b")
    checkout.rename(moved)
    process = start(moved)
    assert "contains a colon" in process.communicate()[1] and process.returncode == 1
