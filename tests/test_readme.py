"""README.md against the code: its settings, its figures, its commands and its example."""

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

from shared.domain.card import ModelCard
from shared.domain.entities import INTERACTIVE_ITEMS
from shared.images.formats import HEAD_BYTES
from shared.jobs.chunks import CHUNK_BYTES, CHUNK_ITEMS, LEASE_S, MAX_DEATHS, RENEW_S, SUSPECT_ITEMS
from shared.jobs.deliveries import LEASE_S as DELIVERY_LEASE_S
from shared.jobs.messenger import CLASSIFY_TIMEOUT_S, MAX_MESSAGES
from shared.jobs.store import SCRIPT_BATCH
from shared.models.registry import Registry
from shared.redis.connection import KEPT_ATTEMPTS, KEPT_DELIVERIES, OPEN_MS
from shared.services import Services
from shared.settings import CLIENT_VARIABLES, MIB, PREFIX, Settings
from shared.storage.blobs import RESERVE_BYTES
from shared.webhooks.signing_secrets import OVERLAP_S
from shared.webhooks.target import MAX_URL
from web.app import create_app
from web.downloads.thumbnails import SIDE, SMALL_BYTES
from web.uploads.multipart import BUFFER_BYTES, OTHER_PARTS, READ_BYTES
from web.uploads.spool import MEMORY_BYTES
from web.uploads.submission import ADD_BYTES, ADD_ITEMS
from worker.classify.classifier import TOP_K
from worker.reconcile.reconciler import BATCH, ROUND_S, WAKE_MESSAGES
from worker.webhooks.deliver import JITTER, LOOK_S, MAX_RETRY_AFTER_S, PER_RECEIVER, SCHEDULE_S, THREADS
from worker.webhooks.webhook_client import MAX_ANSWER_BYTES, TOTAL_S

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
#: What has commands to type.
TYPED = README + (ROOT / "docs" / "http.md").read_text()
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
PICTURES = sorted((ROOT / "tests" / "fixtures" / "cifar10").glob("*.png"))
ADDRESS = "http://127.0.0.1:5000"
#: A Redis that nobody runs: a request that is right in itself is answered 503 then, a wrong one 4xx.
NO_REDIS = "redis://127.0.0.1:1/0"


def blocks(language: str) -> list[str]:
    """The contents of the fenced blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TYPED, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of a table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def curl_commands() -> list[list[str]]:
    """The words of every curl command; what a shell would put in for `$(printf …)` is one file."""
    text = re.sub(r"\$\(printf[^)]*\)", "-F files=@picture.png", "\n".join(blocks("sh")))
    return [shlex.split(found.rstrip(" )"), comments=True) for found in re.findall(r"curl -s [^|\n]*", text)]


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


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Registry().champion()


def test_the_table_of_settings_is_the_model() -> None:
    expected = [
        [
            f"`{PREFIX}{name.upper()}`",
            "–" if field.default is None else f"`{field.default}`",
            (field.description or "").replace("|", r"\|"),
        ]
        for name, field in Settings.model_fields.items()
    ]
    assert rows(section("Settings")) == expected


def test_every_setting_that_a_text_names_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    for path in TEXTS:
        text = re.sub(rf"{PREFIX}\w+ is not a setting", "", path.read_text())
        named = set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]", text))
        assert named <= known, path.name


def test_every_curl_command_is_a_call_of_the_api(app: Flask) -> None:
    commands = curl_commands()
    assert len(commands) == TYPED.count("curl -s ")
    for words in commands:
        (address,) = [word for word in words if word.startswith("$DARKROOM/")]
        path = address.removeprefix("$DARKROOM").replace("$JOB", "0" * 32).replace("$KEY", "000001")
        app.url_map.bind("darkroom").match(path.partition("?")[0], method=method_of(words))
        if method_of(words) == "GET":
            answer = app.test_client().get(path)
            assert answer.status_code == 503 or "no model version $OLD" in answer.text, "a parameter that it has not"


def test_the_calls_named_in_passing_exist(app: Flask) -> None:
    routes = {(method, rule.rule) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    for method, path in re.findall(r"`(GET|POST|PUT|DELETE) …(/[a-z]+)`", TYPED):
        assert (method, f"/v1/jobs/<job_id>{path}") in routes
    assert "`/healthz`" in README and "`/readyz`" in README
    assert {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/"), ("DELETE", "/v1/jobs/<job_id>")} <= routes


def test_the_python_example_runs_and_prints_what_it_says(service) -> None:
    """Given a running service, When the example runs as it stands, Then it names every sample picture's class."""
    (example,) = blocks("python")
    assert ADDRESS in example
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", example.replace(ADDRESS, service.url)],
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    printed = answer.stdout.splitlines()
    assert {line.partition(":")[0] for line in printed} >= {f"tests/fixtures/cifar10/{path.name}" for path in PICTURES}
    shown = [block.splitlines() for block in blocks("text") if block.startswith("succeeded")]
    assert len(shown) == 1
    assert set(shown[0]) - {"…"} <= set(printed)


def test_the_first_answer_is_the_one_that_is_shown(service) -> None:
    """Given a running service, When the first picture is sent, Then the answer has the scores of the README."""
    with service.client() as client:
        headers = {"Content-Type": "image/png", "Prefer": "wait=30"}
        content = (ROOT / "tests" / "fixtures" / "cifar10" / "cat-0.png").read_bytes()
        (result,) = client.post("/v1/jobs", content=content, headers=headers).json()["results"]
    shown = re.findall(r'"index": (\d+), "label": "(\w+)", "score": ([\d.]+)', blocks("json")[0])
    assert shown
    for (index, label, score), prediction in zip(shown, result["predictions"], strict=False):
        assert (int(index), label) == (prediction["index"], prediction["label"])
        assert float(score) == pytest.approx(prediction["score"], abs=1e-3)


def test_the_models_figures_are_those_of_its_card(card: ModelCard) -> None:
    text = section("The model")
    assert f"`{card.version}` ships with Darkroom" in text
    assert f"{card.metrics.accuracy:.2%}".replace("%", " %") in text
    assert f"{card.dataset.test:,} test images" in text
    assert f"{card.size.parameters:,} parameters" in text
    assert f"{len(card.history)} epochs" in text
    assert f"in {card.training_seconds:.0f} s" in text
    assert ", ".join(card.labels) in " ".join(text.split())


def test_the_options_of_the_training_exist() -> None:
    source = (ROOT / "worker" / "training" / "command.py").read_text()
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if "worker.training" in line]
    options = set(re.findall(r"--[a-z-]+", section("The model"))) - {"--help"}
    assert {"--preset", "--seed", "--out"} <= set(command.split()) <= options | set(command.split())
    assert {option for option in options if f'"{option}"' not in source} == set()


def test_the_files_and_commands_that_it_names_are_there() -> None:
    for path in TEXTS:
        for target in re.findall(r"(?<!!)\[[^\]]*\]\((?!https?:)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
    for name in ("ruff", "mypy", "lint-imports"):
        assert f".venv/bin/{name}" in README
        assert (Path(sys.executable).parent / name).exists()


def test_the_tests_that_show_what_is_promised_are_there() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text()
    named = re.findall(r"`(?:tests/([a-z]+)/)?(test_\w+\.py)(?:::(test_\w+))?", text)
    assert len(named) > 10
    for folder, file, function in named:
        assert f"def {function}" in (ROOT / "tests" / (folder or "faults") / file).read_text(), f"{file}: {function}"


def test_the_numbers_in_how_it_works_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text()
    for phrase in (
        f"{MEMORY_BYTES // MIB} MiB in memory",
        f"first {HEAD_BYTES} bytes",
        f"Job {ADD_ITEMS} or {ADD_BYTES // MIB} MiB at a time",
        f"one for each {CHUNK_ITEMS} new Items, but no more than make {MAX_MESSAGES} in the queue",
        f"{ {5: 'five'}[TOP_K] } best Predictions",
        f"given up {OPEN_MS // 3_600_000} h after",
        f"{SCRIPT_BATCH:,} in one call",
        f"up to {CHUNK_ITEMS} Items and {CHUNK_BYTES // MIB} MiB of uploads",
        f"lease of {LEASE_S} s",
        f"every {RENEW_S} s",
        f"at most {INTERACTIVE_ITEMS} Items",
        f"with at most {SUSPECT_ITEMS - 1} others",
        f"in hand at { {4: 'four'}[MAX_DEATHS] } deaths",
        f"{ {1: 'Once a second'}[ROUND_S] }",
        f"up to {WAKE_MESSAGES} messages",
        f"killed after {CLASSIFY_TIMEOUT_S} s",
        f"less than {RESERVE_BYTES // MIB} MiB",
    ):
        assert phrase in text


def test_the_numbers_about_webhooks_are_those_of_the_code() -> None:
    docs = ROOT / "docs"
    names = ("webhooks.md", "how-it-works.md", "decisions/0024-webhooks.md")
    page, how, decision = (" ".join((docs / name).read_text().split()) for name in names)
    hours = [sum(SCHEDULE_S) / 3600 * factor for factor in (1, 1 + JITTER)]
    for text, phrase in (
        (page, f"at most {MAX_URL} characters"),
        (page, f"For the next {OVERLAP_S // 3600} hours"),
        (page, f"within {TOTAL_S:g} s, and work afterwards. A body of more than {MAX_ANSWER_BYTES // 1024} KiB"),
        (page, "5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 14 h"),
        (page, f"{len(SCHEDULE_S) + 1} attempts in {hours[0]:.0f} to {hours[1]:.0f} hours"),
        (page, f"up to {MAX_RETRY_AFTER_S // 3600} h"),
        (page, f"The last {KEPT_DELIVERIES} deliveries of a Job, and the last {KEPT_ATTEMPTS} attempts"),
        (how, f"looks { {0.25: 'four times a second'}[LOOK_S] }"),
        (how, f"fewer than {PER_RECEIVER} in its hands; for {DELIVERY_LEASE_S} s"),
        (decision, f"`LEASE_S` = {DELIVERY_LEASE_S} s"),
        (decision, f"{THREADS} threads and gives a receiver {PER_RECEIVER} of them"),
        (decision, f"Where {THREADS // PER_RECEIVER} receivers hang at once"),
    ):
        assert phrase in text
    assert SCHEDULE_S == (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600)


def test_the_numbers_in_the_decisions_are_those_of_the_code() -> None:
    texts = {path.name[:4]: path.read_text() for path in (ROOT / "docs" / "decisions").glob("*.md")}
    for number, phrase in (
        ("0001", f"up to {CHUNK_ITEMS} Items or {CHUNK_BYTES // MIB} MiB"),
        ("0001", f"at most {INTERACTIVE_ITEMS} Items"),
        ("0001", f"At most {MAX_MESSAGES} messages"),
        ("0002", f"{READ_BYTES // 1024} KiB at a time"),
        ("0002", f"| `BUFFER_BYTES` | {BUFFER_BYTES // MIB} MiB |"),
        ("0002", f"| `OTHER_PARTS` | {OTHER_PARTS} |"),
        ("0003", f"at most {BATCH} things"),
        ("0003", f"lease of {LEASE_S} s"),
        ("0006", f"at most {SIDE} pixels"),
        ("0006", f"up to {SMALL_BYTES // 1024} KiB"),
    ):
        assert phrase in texts[number]


def test_the_requirements_were_compiled_as_it_says() -> None:
    (command,) = [line for block in blocks("sh") for line in block.splitlines() if "pip compile" in line]
    assert command in (ROOT / "requirements.txt").read_text()
    test_file = command.replace("requirements.in", "requirements-test.in").replace(
        "requirements.txt", "requirements-test.txt"
    )
    assert test_file in (ROOT / "requirements-test.txt").read_text()


def test_the_versions_of_python_are_those_that_the_project_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11,<3.14"
    assert "Python 3.11, 3.12 or 3.13 on Linux or macOS" in section("Start")
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text()
