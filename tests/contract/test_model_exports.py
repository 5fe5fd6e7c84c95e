"""Exports of the running service, from the command line: the reconciler makes them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import httpx

from shared.domain.card import CARD_FILE
from shared.models.registry import SHIPPED
from tests.cli.kit import darkroom
from tests.conftest import Service, wait_until
from tests.integration.helpers import problem
from tests.versions_kit import shipped

#: Seconds for a process that loads TensorFlow, on a machine that may be busy.
PATIENCE_S = 900


def test_the_shipped_version_is_exported_once(service: Service, http: httpx.Client, tmp_path: Path) -> None:
    place = f"/v1/models/{shipped()}/export?format=openvino"

    def is_made() -> bool:
        answer = http.get(place, headers={"Prefer": "wait=10"})
        assert answer.status_code in (200, 202), answer.text
        return answer.status_code == 200

    wait_until(is_made, "the export is made", PATIENCE_S)
    words = ("models", "export", shipped(), "--format", "openvino")
    done = darkroom(service.url, tmp_path, *words)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    file = tmp_path / f"{shipped()}-openvino.zip"
    assert file.name in done.stderr
    with zipfile.ZipFile(file) as archive:
        described = json.loads(archive.read("preprocessing.json"))
        labels = archive.read("labels.txt").decode().splitlines()
    card = json.loads((SHIPPED / shipped() / CARD_FILE).read_text())
    assert (described["version"], labels) == (shipped(), card["labels"])
    assert "six if the best score is below" in described["views"]
    assert http.get(place).content == file.read_bytes()  # it is kept

    again = darkroom(service.url, tmp_path, *words)
    assert again.returncode == 1 and "is there already" in again.stderr
    other = darkroom(service.url, tmp_path, "models", "export", "gone-20260101-00000000", "--format", "onnx")
    assert other.returncode == 2 and "gone-20260101-00000000" in other.stderr
    assert not (tmp_path / "gone-20260101-00000000-onnx.zip").exists()


def test_an_unknown_format_is_named(http: httpx.Client) -> None:
    body = problem(http.get(f"/v1/models/{shipped()}/export?format=torch"), 422)
    assert [fault["pointer"] for fault in body["errors"]] == ["format"]
