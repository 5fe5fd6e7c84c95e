"""The quick run: the tests that need one Redis server at most, and neither the whole service nor TensorFlow.

Nothing marks a test as quick. What a test needs decides, so that a new one falls on the right side by itself.
"""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
#: Folders whose tests are about the running service, or train.
FOLDERS = {"browser", "contract", "faults", "integration", "worker/training"}
#: Fixtures that start it.
SERVICES = {"service", "keyed_service"}
#: Packages that take seconds to import.
HEAVY = {"tensorflow", "keras"}


class SkipHeavyImports(MetaPathFinder):
    """Skip what imports TensorFlow: a module, or the one test that does."""

    def find_spec(self, name: str, *_args: object) -> None:
        """Find nothing; skip for the packages in HEAVY."""
        if name in HEAVY:
            pytest.skip("left out by --quick: it imports TensorFlow", allow_module_level=True)


def skip_worker_processes(event: str, arguments: tuple[object, ...]) -> None:
    """Skip the test that starts a program of the worker: most of them import TensorFlow."""
    if event == "subprocess.Popen" and "worker." in str(arguments[1]):
        pytest.skip("left out by --quick: it starts a process of the worker")


def begin() -> None:
    """Skip what imports TensorFlow, or starts a process that may, from now on."""
    sys.meta_path.insert(0, SkipHeavyImports())
    sys.addaudithook(skip_worker_processes)


def leaves_out(folder: Path) -> bool:
    """Tell whether the quick run leaves out this folder of tests."""
    return str(folder).removeprefix(f"{TESTS}/") in FOLDERS


def needs_service(item: pytest.Item) -> bool:
    """Tell whether a fixture of the test starts the service."""
    return not SERVICES.isdisjoint(getattr(item, "fixturenames", ()))


def end() -> None:
    """Raise AssertionError if TensorFlow was imported all the same."""
    assert HEAVY.isdisjoint(sys.modules), "a test of the quick run has imported TensorFlow"
