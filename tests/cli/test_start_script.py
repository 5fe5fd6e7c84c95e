"""`./darkroom` itself: installing once, and what stops it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shared.nvidia import DRIVER
from tests import programs
from tests.conftest import ROOT, wait_until

#: Stands for uv: it creates the environment at once; its first installation waits until it is interrupted.
UV = """\
#!/bin/sh
case "$1" in
venv) mkdir -p .venv/bin; ln -sf "$FAKE_PYTHON" .venv/bin/python ;;
pip) [ -e interrupted ] || { touch interrupted; exec sleep 600; } ;;
esac
"""
#: Stands for the command in the environment.
PYTHON = '#!/bin/sh\necho "$@"; env\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the start script and a uv, which installs nothing."""
    folder = tmp_path / "check out %#;'é"
    folder.mkdir()
    for name in ("darkroom", "requirements.txt", "requirements-test.txt", "requirements-bench.txt"):
        shutil.copy(ROOT / name, folder / name)
    for name, text in (("uv", UV), ("fake", PYTHON)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


def start(checkout: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(checkout), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "FAKE_PYTHON": str(checkout / "fake"), "LC_ALL": "C", **more}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True}
    command = [sys.executable, str(checkout / "darkroom"), *(words or ("keys", "list"))]
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
