"""The decorator that describes a view for the OpenAPI document; it does nothing in a request.

    @blueprint.get("/<job_id>")
    @operation({200: Answer(responses.Job, headers=["ETag"]), 304: Answer()}, query=StatusQuery, problems=[409])
    def status(job_id: str) -> Response:
        \"\"\"The first line is the summary; the rest, in Markdown, is the description.\"\"\"

Path parameters, `Idempotency-Key` and the problems that any call may return are added to every operation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from web.schemas.requests import Query

View = TypeVar("View", bound=Callable[..., Any])

JSON, PROBLEM, MULTIPART = "application/json", "application/problem+json", "multipart/form-data"


@dataclass(frozen=True)
class Answer:
    """A successful response: the type of its JSON, or else its media types, and names of `headers.HEADERS`."""

    shape: Any = None
    headers: Sequence[str] = ()
    media: Sequence[str] = ()
    about: str | None = None

    @property
    def description(self) -> str:
        """Return `about`, else the first line of the type's docstring."""
        if self.about is None and self.shape is None:
            return "Not modified: the client's copy is current."
        return self.about or inspect.cleandoc(self.shape.__doc__).partition("\n")[0]

    @property
    def content(self) -> Mapping[str, Any]:
        """Return the type of the content by media type; None for bytes."""
        return {JSON: self.shape} if self.shape else dict.fromkeys(self.media)


@dataclass(frozen=True)
class Operation:
    """The description of one call. `body` has the type of the content by media type, None for bytes.

    `problems` are statuses beside those of every such call (`web.openapi.calls`), `headers` are names of
    `headers.PARAMETERS`, and `examples` are bodies by media type.
    """

    responses: Mapping[int, Answer]
    query: type[BaseModel] = Query
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Sequence[str] = ()
    problems: Collection[int] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)


def operation(responses: Mapping[int, Answer], **others: Any) -> Callable[[View], View]:
    """Return a decorator that describes a view. The arguments are the fields of `Operation`."""
    described = Operation(responses, **others)

    def describe(view: View) -> View:
        view.operation = described  # type: ignore[attr-defined]
        return view

    return describe
