"""The OpenAPI 3.1 document, built from the app's routes and the descriptions of their views."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask

from web.openapi.calls import Call, calls
from web.openapi.examples import examples
from web.openapi.headers import HEADERS, PARAMETERS
from web.openapi.links import links
from web.openapi.operation import PROBLEM, Answer, Operation
from web.openapi.schemas import Schemas
from web.schemas import responses

INFO = {
    "title": "Darkroom",
    "version": "1.0.0",
    "license": {"name": "MIT"},
    "description": """\
Classify images in the background: submit pictures, poll the job's status and read its results. Train and compare
models.

Times are RFC 3339 in UTC, scores are probabilities in [0, 1], durations are in seconds (`…_s`), and sizes are in bytes.
Every error is an `application/problem+json` document (RFC 9457). Unknown parameters are errors.
""",
}
#: Every call under /v1 needs a key if the service has keys; a service on loopback may have none.
SECURITY: list[dict[str, list[str]]] = [{}, {"key": []}]
SCHEMES = {"key": {"type": "http", "scheme": "bearer", "description": "An API key; required if the service has keys."}}
#: Response headers of problems, by status.
PROBLEM_HEADERS = {
    401: ["WWW-Authenticate"],
    429: ["Retry-After", "RateLimit", "RateLimit-Policy"],
    503: ["Retry-After"],
}
#: Schemas of path parameters, by the name of the view's argument.
PATH_PARAMETERS: dict[str, dict[str, Any]] = {
    "job_id": {"pattern": "^[0-9a-f]{32}$", "description": "The job's `id`."},
    "key": {"pattern": "^[A-Za-z0-9._-]{1,128}$", "description": "The item's `key`; not `.` or `..`."},
    "dataset": {"pattern": "^[a-z0-9-]{1,64}$", "description": "The dataset's `name`."},
    "number": {"pattern": "^[1-9][0-9]{0,9}$", "description": "The picture's `id`."},
    "label": {"minLength": 1, "description": "The label's name."},
    "version": {"pattern": "^[a-z0-9_]+-[0-9]{8}-[0-9a-f]{8}$", "description": "A model version."},
}


def document(app: Flask) -> dict[str, Any]:
    """Return the document of the app."""
    return _Document(list(calls(app))).build()


class _Document:
    """Builder of the document."""

    def __init__(self, found: list[Call]) -> None:
        self._calls = found
        self._operations = [call.operation for call in found]
        self._schemas = Schemas(
            queries=[each.query for each in self._operations],
            requests=[shape for each in self._operations for shape in each.body.values()],
            responses=[
                responses.Problem,
                *(answer.shape for each in self._operations for answer in each.responses.values()),
            ],
        )

    def build(self) -> dict[str, Any]:
        for name, example in examples().items():
            self._schemas.definitions[name]["examples"] = [example]
        paths: dict[str, dict[str, Any]] = {}
        for call in self._calls:
            paths.setdefault(call.path, {})[call.method] = self._operation(call)
        statuses = sorted({status for call in self._calls for status in call.problems})
        return {
            "openapi": "3.1.0",
            "info": INFO,
            "tags": _tags(self._calls),
            "paths": paths,
            "components": {
                "schemas": self._schemas.definitions,
                "responses": {f"Problem{status}": self._problem(status) for status in statuses},
                "headers": HEADERS,
                "securitySchemes": SCHEMES,
            },
        }

    def _operation(self, call: Call) -> dict[str, Any]:
        summary, description = call.texts
        described: dict[str, Any] = {
            "operationId": call.id,
            "tags": [call.module],
            "summary": summary,
            "description": description,
            "parameters": [*_path_parameters(call), *self._query_parameters(call), *_header_parameters(call)],
            "requestBody": self._body(call.operation),
            "responses": self._responses(call),
        }
        return _without_empty(described) | {"security": SECURITY if call.versioned else []}

    def _query_parameters(self, call: Call) -> Iterator[dict[str, Any]]:
        model = self._schemas.query(call.operation.query)
        for name, schema in model.get("properties", {}).items():
            found: dict[str, Any] = {"name": name, "in": "query", "schema": _without_null(schema)}
            if name in model.get("required", ()):
                found["required"] = True
            if schema.get("type") == "array":  # comma-separated values
                found["explode"] = False
            yield found

    def _body(self, operation: Operation) -> dict[str, Any]:
        content: dict[str, dict[str, Any]] = {
            media: {"schema": self._schemas.of_request(shape)} if shape else {}
            for media, shape in operation.body.items()
        }
        for media, example in operation.examples.items():
            content[media]["example"] = example
        return {"required": True, "content": content} if content else {}

    def _responses(self, call: Call) -> dict[str, Any]:
        found = {str(status): self._answer(answer, call) for status, answer in call.operation.responses.items()}
        return found | {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in call.problems}

    def _answer(self, answer: Answer, call: Call) -> dict[str, Any]:
        described = {
            "description": answer.description,
            "headers": _headers([*answer.headers, *(["Idempotency-Replayed"] if call.idempotent else [])]),
            "content": {
                media: {"schema": self._schemas.of_response(shape)} if shape else {}
                for media, shape in answer.content.items()
            },
            "links": links(answer, call, self._calls),
        }
        return _without_empty(described)

    def _problem(self, status: int) -> dict[str, Any]:
        content = {PROBLEM: {"schema": self._schemas.of_response(responses.Problem)}}
        headers = _headers(PROBLEM_HEADERS.get(status, ()))
        return _without_empty({"description": HTTPStatus(status).phrase, "headers": headers, "content": content})


def _path_parameters(call: Call) -> Iterator[dict[str, Any]]:
    for name in call.arguments:
        schema = {"type": "string", **PATH_PARAMETERS.get(name, {})}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _header_parameters(call: Call) -> Iterator[dict[str, Any]]:
    for name in [*call.operation.headers, *(["Idempotency-Key"] if call.idempotent else [])]:
        yield {"name": name, "in": "header", **PARAMETERS[name]}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null, which a query cannot express."""
    rest = {name: value for name, value in schema.items() if name != "anyOf" and (name, value) != ("default", None)}
    for option in schema.get("anyOf", ()):
        rest |= option if option != {"type": "null"} else {}
    return rest


def _without_empty(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries that have a value."""
    return {name: value for name, value in described.items() if value}


def _tags(found: Iterable[Call]) -> list[dict[str, str]]:
    """Return a tag for each module with views."""
    return [{"name": name, "description": text} for name, text in {c.module: c.module_summary for c in found}.items()]
