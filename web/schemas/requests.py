"""What requests carry: query parameters, JSON bodies and the `Prefer` header, checked, with the wrong field named."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal, Self, TypeVar, get_args

from flask import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from werkzeug.http import parse_list_header

from shared.domain.entities import ItemState, JobKind, JobState
from shared.domain.errors import Fault, InvalidRequest, MalformedRequest, TooLarge, UnsupportedMedia

#: Longest time, in seconds, that a request may wait for something to happen.
MAX_WAIT_S = 30
#: Entries on one page: unless told otherwise, and at most.
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
#: Bytes of a JSON body, of `metadata` and of a list of keys: 100,000 keys of 128 characters.
MAX_JSON_BYTES, MAX_METADATA_BYTES, MAX_KEYS_BYTES = 64 * 1024, 64 * 1024, 16 * 1024 * 1024
#: The preference `wait` and its value, which parameters may follow.
WAIT = re.compile(r"wait\s*=\s*([^;\s]*)", re.IGNORECASE)
#: A number as JSON has it.
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: Lists and objects in one another: Python reads and writes JSON by recursion, as deep as the stack allows.
MAX_JSON_DEPTH = 64


class Query(BaseModel):
    """The base: a parameter that the call does not have is an error, not ignored."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _plain_number(cls, text: Any, info: ValidationInfo) -> Any:
        """Numbers as JSON writes them: pydantic also reads those of Python, such as `1_0` and ` ٣`."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if {int, float} & {kind, *get_args(kind)} and not NUMBER.fullmatch(str(text)):
            raise ValueError("not a number")
        return text


class Paged(Query):
    """A list that is given in pages."""

    after: str | None = Field(None, max_length=512)
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


class JobsQuery(Paged):
    """`GET /v1/jobs`."""

    kind: JobKind | None = None
    state: JobState | None = None


class SubmitQuery(Query):
    """`POST /v1/jobs` with a body that is one file, and so has no other place for it."""

    webhook: str | None = Field(None, description="a URL that is called when the job ends; of a body that is one file")


class StatusQuery(Query):
    """`GET /v1/jobs/{id}`."""

    wait: float = Field(0, ge=0, le=MAX_WAIT_S)


class ItemsQuery(Paged):
    """`GET /v1/jobs/{id}/items`."""

    fields: Literal["key"] | None = None


class ResultsQuery(Paged):
    """`GET /v1/jobs/{id}/results`."""

    state: Literal[ItemState.SUCCEEDED, ItemState.FAILED, ItemState.CANCELLED] | None = None
    label: str | None = None
    min_score: float | None = Field(None, ge=0, le=1)
    max_score: float | None = Field(None, ge=0, le=1)
    corrected: Literal["true", "false"] | None = None
    filename: str | None = Field(None, min_length=1, max_length=255)
    sort: Literal["score"] | None = None


class ImageQuery(Query):
    """`GET /v1/jobs/{id}/items/{item}/image`."""

    size: Literal["thumb"] | None = None


class NewJob(BaseModel):
    """`POST /v1/jobs` with JSON."""

    model_config = ConfigDict(extra="forbid")

    kind: JobKind = JobKind.CLASSIFICATION
    params: dict[str, Any] = {}
    metadata: Any = None
    webhook: str | None = Field(None, description="a URL that is called when the job ends")

    @model_validator(mode="after")
    def _only_training_has_params(self) -> Self:
        if self.params and self.kind is JobKind.CLASSIFICATION:
            raise ValueError("params are those of a training: a classification job has none")
        return self


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Any, where: str = "") -> Model:
    """`values` as a `model`. Raises InvalidRequest that names each wrong field, with `where` in front of it."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [Fault(where + "/".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
        named = ", ".join(fault.pointer.lstrip("/") or "the body" for fault in faults)
        raise InvalidRequest(f"wrong: {named}", faults) from error


def query(model: type[Model], request: Request) -> Model:
    """The query parameters. Raises InvalidRequest; a parameter given twice counts as wrong."""
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise InvalidRequest(f"given twice: {', '.join(twice)}", [Fault(name, "given twice") for name in twice])
    return checked(model, request.args.to_dict())


def json_value(content: bytes, what: str) -> Any:
    """Parse JSON that can be written and read again. Raises MalformedRequest."""
    try:
        value = json.loads(content, parse_constant=_no_constant)
        _check_keepable(value, MAX_JSON_DEPTH)
        return value
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"{what} is not JSON: {error}") from error


def json_body(model: type[Model], request: Request) -> Model:
    """The JSON body as a `model`. Raises UnsupportedMedia, TooLarge, MalformedRequest, InvalidRequest."""
    if request.mimetype != "application/json":
        raise UnsupportedMedia(f"the content type must be application/json, not {request.mimetype or 'none'}")
    content = b""
    while len(content) <= MAX_JSON_BYTES and (more := request.stream.read(MAX_JSON_BYTES + 1)):
        content += more  # up to the end, so that a body that broke off is noticed
    if len(content) > MAX_JSON_BYTES:
        raise TooLarge(f"the JSON body is over {MAX_JSON_BYTES} bytes")
    return checked(model, json_value(content, "the body"), "/")


def preferred_wait_s(request: Request) -> float | None:
    """The seconds of `Prefer: wait=N` (RFC 7240), cut to the allowed; None without, or where it cannot be read.

    Of several the first counts, and a parameter of another preference (`other; wait=5`) is none.
    """
    preferences = parse_list_header(request.headers.get("Prefer", ""))
    waits = (found[1] for each in preferences if (found := WAIT.match(each)))
    seconds = next(waits, "").strip('"')
    return min(float(seconds), MAX_WAIT_S) if re.fullmatch("[0-9]+", seconds) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _check_keepable(value: Any, depth: int) -> None:
    """Raise ValueError for what JSON's grammar allows but UTF-8, a double or Python's stack does not hold."""
    if isinstance(value, str):
        value.encode()  # half a surrogate pair
    elif value in (math.inf, -math.inf):
        raise ValueError("a number is too large")
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError(f"more than {MAX_JSON_DEPTH} lists and objects in one another")
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_keepable(part, depth - 1)
