"""Whether imports find CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.data.datasets import CIFAR10_SETTING


@pytest.fixture
def no_cifar10(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide CIFAR-10."""
    monkeypatch.delenv(CIFAR10_SETTING, raising=False)


@pytest.fixture
def with_cifar10(squares_file: Path, monkeypatch: pytest.MonkeyPatch, no_cifar10: None) -> None:  # noqa: ARG001
    monkeypatch.setenv(CIFAR10_SETTING, str(squares_file))
