"""JSON Schemas of the types that operations name, all made in one go, so that what they share is there once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

Mode = Literal["validation", "serialization"]
PLACE = "#/components/schemas/"


class Schemas:
    """Schemas by type. A request's type is described as it is checked, an answer's as it is written."""

    def __init__(self, queries: Iterable[type[BaseModel]], taken: Iterable[Any], given: Iterable[Any]) -> None:
        queries = _once(queries)
        wanted: list[tuple[str, Mode, TypeAdapter[Any]]] = [
            *((repr(each), "validation", TypeAdapter(each)) for each in _once([*queries, *taken])),
            *((repr(each), "serialization", TypeAdapter(each)) for each in _once(given)),
        ]
        self._found, rest = TypeAdapter.json_schemas(wanted, ref_template=PLACE + "{model}")
        definitions = rest.get("$defs", {})
        # A query is no thing of its own: its parameters are named one by one.
        self._queries = {repr(each): definitions.pop(each.__name__) for each in queries}
        self.definitions: dict[str, Any] = definitions

    def query(self, model: type[BaseModel]) -> dict[str, Any]:
        """The schema of a query, an object of its parameters."""
        found: dict[str, Any] = self._queries[repr(model)]
        return found

    def taken(self, shape: Any) -> dict[str, Any]:
        """The schema of what a request carries."""
        return self._found[repr(shape), "validation"]

    def given(self, shape: Any) -> dict[str, Any]:
        """The schema of what an answer carries."""
        return self._found[repr(shape), "serialization"]


def _once(shapes: Iterable[Any]) -> list[Any]:
    return list({repr(shape): shape for shape in shapes if shape is not None}.values())
