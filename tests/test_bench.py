"""The table and the command of the benchmarks. The measurements themselves need an idle machine and an hour."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.files import BOUNDARY, bodies
from bench.table import Figures, Goal, Row, number, ratio
from web.uploads.multipart import read_parts

ROOT = Path(__file__).resolve().parent.parent


def test_a_ratio_is_computed_for_each_repeat():
    row = ratio("what", Figures([90, 300], "images/s"), "other", Figures([100, 200], "images/s"), Goal(1.0))
    assert row.judged.values == [0.9, 1.5]
    assert row.cells() == ("what", "195 (90.0–300) images/s", "150 (100–200) images/s other", "1.20 (0.90–1.50) ×",
                           "≥ 1.00 ×", "yes")  # fmt: skip


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [(Goal(2), 2.0, True), (Goal(2), 1.9, False), (Goal(2, at_least=False), 2.0, True),
     (Goal(2, at_least=False), 2.1, False)],
)  # fmt: skip
def test_goals(goal, value, met):
    row = Row("what", Figures([value], "×"), goal=goal)
    assert goal.met(row.judged) is met
    assert row.cells()[-1] == ("yes" if met else "**no**")
    assert row.as_json()["met"] is met
    json.dumps(row.as_json())


def test_a_row_without_a_goal():
    row = Row("what", Figures([1.0, 3.0], "ms"))
    assert row.cells() == ("what", "2.00 (1.00–3.00) ms", "", "", "", "")
    assert row.as_json()["met"] is None


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,346"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.004, "0.00")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_multipart_bodies_contain_every_file():
    files = [bytes([n]) * 3000 for n in range(5)]
    found = []
    for body in bodies(files, 2):
        import io

        parts = read_parts(io.BytesIO(body), f"multipart/form-data; boundary={BOUNDARY}", 10)
        found += [b"".join(part.chunks) for part in parts]
    assert found == files


@pytest.mark.parametrize(("arguments", "said"), [(["nonsense"], "'nonsense'"), (["--repeats", "0"], "at least 1")])
def test_wrong_arguments_are_named(arguments, said):
    answer = subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 2
    assert said in answer.stderr


def test_help_needs_no_package_that_the_service_does_without():
    """Only `darkroom bench` without --help installs psutil, scikit-learn and the like."""
    missing = "import runpy, sys; sys.modules |= {'psutil': None, 'sklearn': None, 'litserve': None}"
    code = f"{missing}; sys.argv = ['bench', '--help']; runpy.run_module('bench', run_name='__main__')"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "") and "--repeats" in answer.stdout
