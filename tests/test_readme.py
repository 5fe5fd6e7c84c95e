"""README.md and the examples in docs/ against a running service."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from shared.services import Services
from shared.settings import Settings
from tests.documents import DOCS, README, ROOT, TYPED, blocks, section
from web.app import create_app

PICTURES = ROOT / "tests" / "fixtures" / "cifar10"
#: No Redis runs here: a correct request is answered with 503, a wrong one with 4xx.
NO_REDIS = "redis://127.0.0.1:1/0"


def curl_commands() -> list[list[str]]:
    """Return the words of every curl command; `$(printf …)` is replaced by one file."""
    text = re.sub(r"\$\(printf[^)]*\)", "-F files=@picture.png", "\n".join(blocks("sh", *TYPED)))
    return [shlex.split(found.rstrip(" )"), comments=True) for found in re.findall(r"curl -sS? [^|;\n]*", text)]


def method_of(words: list[str]) -> str:
    if "-X" in words:
        return words[words.index("-X") + 1]
    if "-T" in words:
        return "PUT"
    return "POST" if {"-d", "-F", "--data-binary"} & set(words) else "GET"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    services = Services.build(Settings(redis_url=NO_REDIS, data_dir=tmp_path))
    yield create_app(services)
    services.close()


def test_every_curl_command_is_a_valid_request(app: Flask) -> None:
    commands = curl_commands()
    assert len(commands) == sum(len(re.findall("curl -sS? ", path.read_text())) for path in TYPED)
    for words in commands:
        (address,) = [word for word in words if word.startswith("$DARKROOM_URL/")]
        path = address.removeprefix("$DARKROOM_URL").replace("$JOB", "0" * 32).replace("$KEY", "000001")
        app.url_map.bind("darkroom").match(path.partition("?")[0], method=method_of(words))
        if method_of(words) == "GET":
            answer = app.test_client().get(path)
            assert answer.status_code == 503 or "$OLD" in answer.text, f"{path}: {answer.text}"


def test_the_python_example_prints_what_the_readme_shows(service) -> None:
    """Given a running service, When the example runs, Then it names the class of every sample picture."""
    (example,) = blocks("python", README)
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "*", "DARKROOM_URL": service.url},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    printed = answer.stdout.splitlines()
    expected = {f"tests/fixtures/cifar10/{path.name}" for path in PICTURES.glob("*.png")}
    assert {line.partition(":")[0] for line in printed} >= expected
    (shown,) = blocks("text", README)
    assert set(shown.splitlines()) - {"…"} <= set(printed)


def test_the_http_example_has_the_scores_that_the_readme_shows(service) -> None:
    with service.client() as client:
        headers = {"Content-Type": "image/png", "Prefer": "wait=30"}
        content = (PICTURES / "cat-0.png").read_bytes()
        (result,) = client.post("/v1/jobs", content=content, headers=headers).json()["results"]
    (answer,) = blocks("json", README)
    shown = re.findall(r'"index": (\d+), "label": "(\w+)", "score": ([\d.]+)', answer)
    assert shown
    for (index, label, score), prediction in zip(shown, result["predictions"], strict=False):
        assert (int(index), label) == (prediction["index"], prediction["label"])
        assert float(score) == pytest.approx(prediction["score"], abs=1e-3)


def test_the_python_versions_are_those_that_the_project_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "Python 3.11, 3.12 or 3.13 on Linux or macOS" in section(README, "Start")
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_address_is_the_default_one() -> None:
    settings = Settings()
    for path in (README, DOCS / "http.md", DOCS / "own-classes.md"):
        assert f"export DARKROOM_URL=http://{settings.host}:{settings.port}\n" in path.read_text()
