"""Lint the JavaScript and run its unit tests. Neither needs a build step or a Node.js of the machine."""

from __future__ import annotations

import subprocess
import sysconfig
from pathlib import Path

import playwright

from tests.conftest import ROOT

OXLINT = Path(sysconfig.get_path("scripts")) / "oxlint"
#: Playwright's wheel contains Node.js to run its driver.
NODE = Path(playwright.__file__).parent / "driver" / "node"


def run(*words: str | Path) -> None:
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_lint() -> None:
    run(OXLINT, "web/static", "tests/js")


def test_units() -> None:
    run(NODE, "--test", *sorted(Path(__file__).parent.glob("*.test.js")))
