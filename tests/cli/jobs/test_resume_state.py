"""The file with the job id of an interrupted upload."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.jobs.resume_state import resume_state

URL = "http://127.0.0.1:5000"


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def saved(*sources: str, url: str = URL) -> str | None:
    with resume_state(url, sources) as state:
        return state.load()


def test_the_same_command_finds_its_job_until_it_is_cleared() -> None:
    with resume_state(URL, ["pics"]) as state:
        state.save("first")
        state.save("second")
    assert saved("pics") == "second"
    assert (saved("pics", "more"), saved("pics", url="http://other")) == (None, None)
    with resume_state(URL, ["pics"], "https://example.org/hook") as state:
        assert state.load() is None
    with resume_state(URL, ["pics"]) as state:
        state.clear()
    assert saved("pics") is None


def test_a_concurrent_run_has_its_own_job() -> None:
    with resume_state(URL, ["pics"]) as state:
        state.save("first")
        assert saved("pics") is None
    assert saved("pics") == "first"


def test_an_unwritable_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with resume_state(URL, ["pics"]) as state:
        state.save("first")
    assert saved("pics") is None
