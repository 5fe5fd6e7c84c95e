"""The file that says which open job an upload fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.jobs.resume_state import memory_of

URL = "http://127.0.0.1:5000"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def kept(*sources: str, url: str = URL) -> str | None:
    with memory_of(url, sources) as memory:
        return memory.recall()


def test_a_job_is_remembered_for_the_same_command_until_it_is_forgotten() -> None:
    with memory_of(URL, ["pics"]) as memory:
        memory.keep("first")
        memory.keep("second")
    assert kept("pics") == "second"
    assert (kept("pics", "more"), kept("pics", url="http://other")) == (None, None)
    with memory_of(URL, ["pics"], "https://example.org/hook") as memory:
        assert memory.recall() is None
    with memory_of(URL, ["pics"]) as memory:
        memory.forget()
    assert kept("pics") is None


def test_a_second_run_beside_the_first_has_a_job_of_its_own() -> None:
    with memory_of(URL, ["pics"]) as memory:
        memory.keep("first")
        assert kept("pics") is None
    assert kept("pics") == "first"


def test_where_nothing_can_be_kept_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with memory_of(URL, ["pics"]) as memory:
        memory.keep("first")
    assert kept("pics") is None
