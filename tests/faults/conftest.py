"""The model of the fault tests and its predictions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.checks import Expected, expected_of
from tests.faults.kit import pictures
from tests.faults.tiny import tiny_network


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a version that takes next to no time. The tests are about everything around it."""
    return tiny_network(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def expected(model: Path) -> Expected:
    """Return the predictions of its network for each picture."""
    expected = expected_of(model, pictures())
    best = {max(scores, key=scores.__getitem__) for scores in expected.values()}
    assert len(best) > 1, "pictures that look alike would prove nothing"
    return expected
