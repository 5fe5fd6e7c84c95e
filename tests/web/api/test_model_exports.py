"""Exports of model versions over HTTP, without a reconciler: the tests do what it does."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from shared.models.exports import Export, ExportFormat, ExportProblem
from shared.redis import keys
from shared.services import Services
from tests.versions_kit import shipped, version_folder
from tests.web.api.kit import Caller, faults

ZIP = b"PK\3\4 the zip"


@pytest.fixture
def ann(app: Flask) -> Caller:
    return Caller(app, "ann", "/v1/models")


@pytest.fixture
def bob(app: Flask) -> Caller:
    return Caller(app, "bob", "/v1/models")


@pytest.fixture
def own(parts: Services, tmp_path: Path) -> str:
    """Publish a version of ann's classifier; return its name."""
    return parts.registry.publish(version_folder(tmp_path, owner="ann", classifier="fruit")).version


def asked_for(parts: Services) -> list[str]:
    return parts.redis.zrange(keys.EXPORTS, 0, -1)


def test_an_export_is_made_once_and_then_sent(ann: Caller, parts: Services, own: str, tmp_path: Path) -> None:
    for _ in range(2):
        answer = ann("GET", f"/{own}/export?format=onnx", 202)
        assert answer.json == {
            "version": own,
            "format": "onnx",
            "state": "pending",
            "links": {"self": f"/v1/models/{own}/export?format=onnx"},
        }
        assert answer.headers["Location"] == answer.json["links"]["self"]
        assert int(answer.headers["Retry-After"]) > 0
    assert asked_for(parts) == [f"{own}/onnx"]

    (tmp_path / "export.zip").write_bytes(ZIP)
    parts.exports.store(Export(own, ExportFormat.ONNX), tmp_path / "export.zip")
    answer = ann("GET", f"/{own}/export?format=onnx", headers={"Prefer": "wait=5"})
    assert (answer.data, answer.content_type) == (ZIP, "application/zip")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{own}-onnx.zip"'
    assert answer.headers["Preference-Applied"] == "wait=5"
    assert asked_for(parts) == []


def test_an_export_that_cannot_be_made_is_a_conflict(ann: Caller, parts: Services, own: str) -> None:
    ann("GET", f"/{own}/export?format=litert", 202)
    parts.exports.fail(Export(own, ExportFormat.LITERT), ExportProblem("it has no operation Erfinv", final=True))
    detail = ann("GET", f"/{own}/export?format=litert", 409, headers={"Prefer": "wait=5"}).json["detail"]
    assert detail == f"{own} cannot be exported as litert: it has no operation Erfinv"
    assert asked_for(parts) == []


def test_an_export_that_failed_for_a_time_is_tried_again(ann: Caller, parts: Services, own: str) -> None:
    wanted = Export(own, ExportFormat.KERAS)
    parts.exports.fail(wanted, ExportProblem("the disk is full", final=False))
    assert "the disk is full" in ann("GET", f"/{own}/export?format=keras", 503).json["detail"]
    parts.redis.delete(keys.exported(wanted.id))  # as if it had expired
    ann("GET", f"/{own}/export?format=keras", 202)


def test_only_its_owner_exports_a_version(bob: Caller, parts: Services, own: str) -> None:
    for version in (own, "copy-20260101-00000000", "nonsense"):
        bob("GET", f"/{version}/export?format=onnx", 404)
    assert asked_for(parts) == []
    bob("GET", f"/{shipped()}/export?format=onnx", 202)


def test_a_format_is_needed_and_known(ann: Caller) -> None:
    for text in ("", "?format=", "?format=torch", "?format=ONNX"):
        assert faults(ann("GET", f"/{shipped()}/export{text}", 422)) == ["format"]
