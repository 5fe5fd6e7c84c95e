"""The OpenAPI document of the app, without a running service."""

from __future__ import annotations

import json

import pytest

from shared.services import Services
from shared.settings import Settings
from web.app import create_app
from web.openapi.calls import path

#: Paths outside /v1 that are in the document.
SERVICE = {"/healthz", "/readyz", "/metrics", "/openapi.json"}


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return create_app(Services.build(Settings(data_dir=tmp_path_factory.mktemp("data"), redis_url="redis://nowhere/0")))


@pytest.fixture(scope="module")
def document(app):
    return json.loads(app.test_client().get("/openapi.json").data)


def operations(document):
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_every_route_is_in_the_document(app, document):
    missing = [
        f"{method} {path(rule)}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/v1/") or rule.rule in SERVICE
        if method.lower() not in document["paths"].get(path(rule), {})
    ]
    assert not missing


def test_every_operation_has_summary_and_responses(document):
    names = [operation["operationId"] for operation in operations(document)]
    assert len(names) == len(set(names))
    for operation in operations(document):
        assert operation["summary"] and operation["responses"], operation["operationId"]
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in ("path", "query", "header") and "schema" in parameter


def references(node):
    if isinstance(node, dict):
        yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)


def test_every_reference_resolves_and_every_component_is_used(document):
    used = set(references(document))
    there = {f"#/components/{kind}/{name}" for kind, found in document["components"].items() for name in found}
    assert used <= there
    assert not {place for place in there - used if "/securitySchemes/" not in place}


def test_document_has_an_etag(app):
    client = app.test_client()
    first = client.get("/openapi.json")
    assert first.headers["Content-Type"] == "application/json"
    again = client.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
