"""What a view says of itself for the OpenAPI document; none of it runs in a request.

    @blueprint.get("/<job_id>")
    @operation({200: Answer(wire.Job, headers=["ETag"]), 304: Answer()}, query=StatusQuery, refuses=[404])
    def status(job_id: str) -> Response:
        \"\"\"The first line is the summary; the rest, in Markdown, is the description.\"\"\"

What goes without saying is added: path parameters, problems that any call may answer, `Idempotency-Key`.
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
    """One status that is no problem: the type of its JSON, or else its media types, and names of `headers.HEADERS`."""

    shape: Any = None
    headers: Sequence[str] = ()
    media: Sequence[str] = ()
    about: str | None = None

    @property
    def description(self) -> str:
        """What it says, else the first line of what its type says of itself."""
        if self.about is None and self.shape is None:
            return "The client has what there is."
        return self.about or inspect.cleandoc(self.shape.__doc__).partition("\n")[0]

    @property
    def content(self) -> Mapping[str, Any]:
        """Media type → the type of what it carries; None for bytes."""
        return {JSON: self.shape} if self.shape else dict.fromkeys(self.media)


@dataclass(frozen=True)
class Operation:
    """One call of the API. `body` is media type → type of the content, None for bytes; `refuses` are statuses of
    problems beside those that any such call has (`web.openapi.calls`), `headers` names of `headers.PARAMETERS`, and
    `examples` bodies by media type.
    """

    answers: Mapping[int, Answer]
    query: type[BaseModel] = Query
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Sequence[str] = ()
    refuses: Collection[int] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)


def operation(answers: Mapping[int, Answer], **others: Any) -> Callable[[View], View]:
    """Describe the view that stands below; takes what an `Operation` has."""
    described = Operation(answers, **others)

    def describe(view: View) -> View:
        view.operation = described  # type: ignore[attr-defined]
        return view

    return describe
