"""JSON Schemas of all types in operations, generated together, so that shared types are defined once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

Mode = Literal["validation", "serialization"]
PLACE = "#/components/schemas/"


class Schemas:
    """Schemas by type: of requests as they are validated, of responses as they are serialized."""

    def __init__(self, queries: Iterable[type[BaseModel]], requests: Iterable[Any], responses: Iterable[Any]) -> None:
        queries = _once(queries)
        wanted: list[tuple[str, Mode, TypeAdapter[Any]]] = [
            *((repr(each), "validation", TypeAdapter(each)) for each in _once([*queries, *requests])),
            *((repr(each), "serialization", TypeAdapter(each)) for each in _once(responses)),
        ]
        self._found, rest = TypeAdapter.json_schemas(wanted, ref_template=PLACE + "{model}")
        definitions = rest.get("$defs", {})
        # A query is not a component: its parameters are listed one by one.
        self._queries = {repr(each): definitions.pop(each.__name__) for each in queries}
        self.definitions: dict[str, Any] = definitions

    def query(self, model: type[BaseModel]) -> dict[str, Any]:
        """Return the schema of a query, an object of its parameters."""
        found: dict[str, Any] = self._queries[repr(model)]
        return found

    def of_request(self, shape: Any) -> dict[str, Any]:
        """Return the schema of a request body."""
        return self._found[repr(shape), "validation"]

    def of_response(self, shape: Any) -> dict[str, Any]:
        """Return the schema of a response body."""
        return self._found[repr(shape), "serialization"]


def _once(shapes: Iterable[Any]) -> list[Any]:
    return list({repr(shape): shape for shape in shapes if shape is not None}.values())
