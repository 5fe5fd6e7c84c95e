"""schemathesis on every operation of a running service: valid and invalid calls, and sequences of calls.

By hand, against a service that is running, with as many examples as wanted: `SCHEMATHESIS_HOOKS=tests.contract.hooks
.venv/bin/st --config-file tests/contract/schemathesis.toml run http://127.0.0.1:5000/openapi.json -n 1000`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import ROOT, running_service
from tests.contract.hooks import DATASET
from tests.integration.helpers import cifar10, files, finished, submit

CONFIG = Path(__file__).with_name("schemathesis.toml")
#: Share of the operations that must have succeeded at least once, since rejections alone prove little.
MOST = 0.75


@pytest.fixture(scope="module")
def own_service(tmp_path_factory):
    """Run a service whose jobs may be cancelled and deleted, with a finished one to begin with."""
    with running_service(tmp_path_factory.mktemp("schema"), web_processes="1") as service:
        with service.client() as http:
            finished(http, submit(http, *cifar10()[:5]))
            fill_dataset(http)
        yield service


def fill_dataset(http: httpx.Client) -> None:
    """Import pictures into a dataset, for calls that `hooks.py` points to it."""
    http.post("/v1/datasets", json={"name": DATASET, "labels": ["cat", "apple", "spare"]}).raise_for_status()
    pictures = files(*((name.replace("/", "-"), content) for name, content in cifar10()))
    answer = http.post(f"/v1/datasets/{DATASET}/imports?label=cat", files=pictures, headers={"Prefer": "wait=30"})
    assert answer.json()["counts"]["succeeded"] == len(pictures), answer.text


def test_every_operation_keeps_to_the_document(own_service, tmp_path):
    report_path = tmp_path / "report.json"
    words = ["--config-file", str(CONFIG), "run", f"{own_service.url}/openapi.json", "--no-color"]
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *words, "--report-json-path", str(report_path)],
        cwd=ROOT,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "tests.contract.hooks"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr
    assert "Traceback" not in own_service.log()
    report = json.loads(report_path.read_text())
    assert report["operations"]["tested"] == report["operations"]["total"]
    done = [any(phase["accepted"] for phase in phases.values()) for phases in report["valid_rates"].values()]
    assert sum(done) >= MOST * len(done)
