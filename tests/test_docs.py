"""The documents against the code: settings, calls, figures, commands, and the names of files and tests."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from shared.domain.card import ModelCard
from shared.domain.entities import INTERACTIVE_ITEMS
from shared.images.formats import HEAD_BYTES
from shared.images.pixels import THUMBNAIL_SIDE
from shared.jobs.chunks import CHUNK_BYTES, CHUNK_ITEMS, HEARTBEAT_S, LEASE_S, MAX_DEATHS, SUSPECT_ITEMS
from shared.jobs.deliveries import LEASE_S as DELIVERY_LEASE_S
from shared.jobs.messenger import CLASSIFY_TIMEOUT_S, MAX_MESSAGES
from shared.jobs.store import SCRIPT_BATCH
from shared.models.registry import Registry
from shared.redis.connection import KEPT_ATTEMPTS, KEPT_DELIVERIES, OPEN_TTL_MS
from shared.services import Services
from shared.settings import CLIENT_VARIABLES, MIB, PREFIX, Settings
from shared.storage.blobs import RESERVE_BYTES
from shared.webhooks.signing_secrets import OVERLAP_S
from shared.webhooks.target import MAX_URL
from tests.documents import DOCS, ROOT, TEXTS, blocks, rows, section, words
from web.app import create_app
from web.downloads.thumbnails import SMALL_BYTES
from web.openapi.document import document
from web.uploads.multipart import MAX_HEADER_BYTES, OTHER_PARTS, READ_BYTES
from web.uploads.spool import MEMORY_BYTES
from web.uploads.submission import ADD_BYTES, ADD_ITEMS
from worker.classify.classifier import TOP_K
from worker.reconcile.reconciler import BATCH, ROUND_S, WAKE_MESSAGES
from worker.webhooks.deliver import JITTER, MAX_RETRY_AFTER_S, PER_RECEIVER, POLL_S, SCHEDULE_S, THREADS
from worker.webhooks.webhook_client import MAX_RESPONSE_BYTES, TOTAL_S

HOW, API, MODEL, DEVELOPMENT = (DOCS / f"{name}.md" for name in ("how-it-works", "api", "model", "development"))
#: Files in backticks that are not in the repository: a reader's own, or a package's.
FOREIGN = {"example.py", "predict.py", "plotly.min.js"}


@cache
def tracked() -> set[str]:
    """Return the paths of all files in the repository."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return set(found.stdout.splitlines())


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Registry().champion()


def test_the_settings_table_matches_the_code() -> None:
    expected = [
        [
            f"`{PREFIX}{name.upper()}`",
            "–" if field.default is None else f"`{field.default}`",
            (field.description or "").replace("|", r"\|"),
        ]
        for name, field in Settings.model_fields.items()
    ]
    assert rows((DOCS / "settings.md").read_text()) == expected


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_setting_in_a_text_exists(path: Path) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    text = re.sub(rf"{PREFIX}\w+ is not a setting", "", path.read_text())
    assert set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]", text)) <= known


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    for target in re.findall(r"\[[^\]]*\]\((?!https?:)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_every_source_file_in_a_text_exists(path: Path) -> None:
    """Given a text, Then each `file.py`, `folder/` and `python -m module` in it exists, and `name in file` is right."""
    text, files = path.read_text(), tracked()
    for name in re.findall(r"`([\w./-]+\.(?:py|lua|js|html|yml))`", text):
        known = name in files or ("/" not in name and any(file.endswith(f"/{name}") for file in files))
        assert known or name in FOREIGN, name
    for folder in re.findall(r"`((?:web|worker|shared|cli|tests|bench|docs|deploy|templates|models)/[\w/]*)/?`", text):
        assert (ROOT / folder).exists(), folder
    for module in re.findall(r"python -m ((?:worker|bench|cli|web|shared)[\w.]*)", text):
        assert find_spec(module), module
    for name, file in re.findall(r"`(\w+)` in `([\w/]+\.(?:py|lua))`", text):
        assert any(name in (ROOT / each).read_text() for each in files if f"/{each}".endswith(f"/{file}")), name


def test_the_source_tree_names_every_folder() -> None:
    """Given the tree in how-it-works.md, Then it has each folder of the program that has code, and no other."""
    tree, shown, parents = section(HOW, "The source tree"), set(), {0: ""}
    for indent, name in re.findall(r"^    ( *)([a-z]+)/(?= )", tree, re.MULTILINE):
        shown.add(parents[len(indent)] + name)
        parents[len(indent) + 2] = f"{parents[len(indent)]}{name}/"
    top = {file.partition("/")[0] for file in tracked() if "/" in file and not file.startswith(".")}
    programs = {"/".join(file.split("/")[:2]) for file in tracked() if re.match(r"(web|worker|shared|cli)/.*/", file)}
    assert shown == top | programs


def test_the_tools_in_the_development_guide_are_installed() -> None:
    text = DEVELOPMENT.read_text()
    for name in ("ruff", "mypy", "lint-imports"):
        assert f".venv/bin/{name}" in text
        assert (Path(sys.executable).parent / name).exists()


def test_the_requirements_were_compiled_with_the_documented_command() -> None:
    (command,) = [line for block in blocks("sh", DEVELOPMENT) for line in block.splitlines() if "pip compile" in line]
    for name in ("requirements", "requirements-test", "requirements-bench"):
        assert command.replace("requirements.", f"{name}.") in (ROOT / f"{name}.txt").read_text()


def test_the_models_figures_are_those_of_its_card(card: ModelCard) -> None:
    text = " ".join(section(MODEL, "The model that ships with Darkroom").split())
    for phrase in (
        f"`{card.version}` ships with Darkroom",
        f"{card.metrics.accuracy:.2%}".replace("%", " %"),
        f"{card.dataset.test:,} test images",
        f"{card.size.parameters:,} parameters",
        f"{len(card.history)} epochs",
        f"in {card.training_seconds:.0f} s",
        ", ".join(card.labels),
    ):
        assert phrase in text


def test_the_options_of_the_training_exist() -> None:
    source = (ROOT / "worker" / "training" / "command.py").read_text()
    (command,) = [line for block in blocks("sh", MODEL) for line in block.splitlines() if "worker.training" in line]
    options = set(re.findall(r"--[a-z-]+", section(MODEL, "Training without the service"))) - {"--help"}
    assert {"--preset", "--seed", "--out"} <= set(command.split()) <= options | set(command.split())
    assert {option for option in options if f'"{option}"' not in source} == set()


def test_the_contract_lists_every_call_of_the_api_and_no_other(tmp_path: Path) -> None:
    services = Services.build(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=tmp_path))
    paths = document(create_app(services))["paths"]
    services.close()
    made = {f"{method.upper()} {re.sub(r'{.*?}', '*', path)}" for path, methods in paths.items() for method in methods}
    named = re.findall(r"`((?:GET|POST|PUT|DELETE) /[^\s`]+)`", API.read_text())
    assert {re.sub(r"{.*?}", "*", call) for call in named} == made
    for path in TEXTS:
        for method, rest in re.findall(r"`(GET|POST|PUT|DELETE) …(/[\w/{}]+)", path.read_text()):
            ending = re.sub(r"{.*?}", "*", rest)
            assert any(call.startswith(f"{method} ") and call.endswith(ending) for call in made), path.name


def test_the_error_codes_of_the_contract_are_in_the_code() -> None:
    table = API.read_text().partition("### Error codes")[2].partition("\n## ")[0]
    codes = {code for row in rows(table) for code in re.findall(r"`(\w+)`", row[0])}
    folders = [ROOT / name for name in ("web", "worker", "shared")]
    source = "".join(path.read_text() for folder in folders for path in folder.rglob("*.py"))
    raised = set(re.findall(r"(?:ItemError|Failure|_broken_is)\(\"(\w+)\"", source))
    assert raised - {"internal", "gone", "redirect", "status"} <= codes, "without those of webhooks"
    assert {code for code in codes if f'"{code}"' not in source} == set()


def test_the_tests_named_as_evidence_exist() -> None:
    named = re.findall(r"`(?:tests/([a-z/]+)/)?(test_\w+\.py)(?:::(test_\w+))?", (DOCS / "guarantees.md").read_text())
    assert len(named) > 10
    for folder, file, function in named:
        assert f"def {function}" in (ROOT / "tests" / (folder or "faults") / file).read_text(), f"{file}: {function}"


def test_the_numbers_in_how_it_works_are_those_of_the_code() -> None:
    text = words(HOW)
    for phrase in (
        f"up to {MEMORY_BYTES // MIB} MiB in memory",
        f"first {HEAD_BYTES} bytes",
        f"{ADD_ITEMS} or {ADD_BYTES // MIB} MiB at a time",
        f"for each {CHUNK_ITEMS} new Items, up to a total of {MAX_MESSAGES} in the queue",
        f"{ {5: 'five'}[TOP_K] } best Predictions",
        f"{OPEN_TTL_MS // 3_600_000} h after its last Item was added",
        f"{SCRIPT_BATCH:,} in one call",
        f"up to {CHUNK_ITEMS} Items and {CHUNK_BYTES // MIB} MiB of uploads",
        f"lease of {LEASE_S} s",
        f"every {HEARTBEAT_S} s",
        f"at most {INTERACTIVE_ITEMS} Items",
        f"with at most {SUSPECT_ITEMS - 1} others",
        f"at { {4: 'four'}[MAX_DEATHS] } deaths",
        f"{ {1: 'Once a second'}[ROUND_S] }",
        f"up to {WAKE_MESSAGES} messages",
        f"killed after {CLASSIFY_TIMEOUT_S} s",
        f"less than {RESERVE_BYTES // MIB} MiB",
    ):
        assert phrase in text, phrase


def test_the_numbers_about_webhooks_are_those_of_the_code() -> None:
    docs = DOCS
    names = ("webhooks.md", "how-it-works.md", "decisions/0024-webhooks.md")
    page, how, decision = (words(docs / name) for name in names)
    hours = [sum(SCHEDULE_S) / 3600 * factor for factor in (1, 1 + JITTER)]
    for text, phrase in (
        (page, f"at most {MAX_URL} characters"),
        (page, f"For the next {OVERLAP_S // 3600} hours"),
        (page, f"within {TOTAL_S:g} s, and work afterwards. A response of more than {MAX_RESPONSE_BYTES // 1024} KiB"),
        (page, "5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 14 h"),
        (page, f"{len(SCHEDULE_S) + 1} attempts in {hours[0]:.0f} to {hours[1]:.0f} hours"),
        (page, f"up to {MAX_RETRY_AFTER_S // 3600} h"),
        (page, f"The last {KEPT_DELIVERIES} deliveries of a Job, and the last {KEPT_ATTEMPTS} attempts"),
        (how, f"polls { {1.0: 'once a second'}[POLL_S] }"),
        (how, f"fewer than {PER_RECEIVER} claimed Deliveries. The lease lasts {DELIVERY_LEASE_S} s"),
        (decision, f"`LEASE_S` = {DELIVERY_LEASE_S} s"),
        (decision, f"{THREADS} threads and gives a receiver {PER_RECEIVER} of them"),
        (decision, f"If {THREADS // PER_RECEIVER} receivers hang at once"),
    ):
        assert phrase in text, phrase
    assert SCHEDULE_S == (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600)


def test_the_numbers_in_the_decisions_are_those_of_the_code() -> None:
    texts = {path.name[:4]: path.read_text() for path in (DOCS / "decisions").glob("*.md")}
    for number, phrase in (
        ("0001", f"up to {CHUNK_ITEMS} Items or {CHUNK_BYTES // MIB} MiB"),
        ("0001", f"at most {INTERACTIVE_ITEMS} Items"),
        ("0001", f"At most {MAX_MESSAGES} messages"),
        ("0030", f"| `READ_BYTES` | {READ_BYTES // 1024} KiB |"),
        ("0030", f"| `MAX_HEADER_BYTES` | {MAX_HEADER_BYTES // 1024} KiB |"),
        ("0030", f"| `OTHER_PARTS` | {OTHER_PARTS} |"),
        ("0003", f"at most {BATCH} things"),
        ("0003", f"lease of {LEASE_S} s"),
        ("0006", f"at most {THUMBNAIL_SIDE} pixels"),
        ("0006", f"up to {SMALL_BYTES // 1024} KiB"),
    ):
        assert phrase in texts[number], phrase


def test_the_redis_keys_in_how_it_works_are_those_of_the_code() -> None:
    """Given the table of Redis keys, Then it has the fixed beginning of every key in the code, and no other."""
    keys = re.findall(r"`(darkroom:[^`]+)`", section(HOW, "What Redis holds"))
    documented = {re.split(r":?(?:<|LIMITER)", key)[0] for key in keys}
    files = [*(ROOT / "shared").rglob("*.py"), *(ROOT / "shared").rglob("*.lua")]
    source = "\n".join(path.read_text() for path in files)
    named = {key.rstrip(":") for key in re.findall(r"[\"'](darkroom:[a-z:-]+)", source)}
    assert documented - {"darkroom:ring"} == named  # its `:counts` is made from the ring's own key


def test_the_exit_codes_are_those_of_the_command() -> None:
    listed = re.findall(r"^      (\d+)  (.*)$", (ROOT / "cli" / "__main__.py").read_text(), re.MULTILINE)
    assert rows(section(DOCS / "command-line.md", "Exit codes")) == [list(pair) for pair in listed]


def test_the_log_lines_that_an_operator_looks_for_are_in_the_code() -> None:
    lines = re.findall(r"logs for `([^`]+)`", (DOCS / "operations.md").read_text())
    source = "".join(path.read_text() for path in (ROOT / "worker").rglob("*.py"))
    assert len(lines) >= 2
    assert [line for line in lines if line not in source] == []
