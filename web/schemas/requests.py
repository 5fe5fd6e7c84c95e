"""Query parameters, JSON bodies and the `Prefer` header of requests, and their validation."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal, Self, TypeVar, get_args

from flask import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from werkzeug.http import parse_list_header

from shared.domain import json_pointer
from shared.domain.entities import ItemState, JobKind, JobState
from shared.domain.errors import Fault, InvalidRequest, MalformedRequest, TooLarge, UnsupportedMedia
from shared.domain.name_encodings import known_encoding

#: Longest time that a request may wait for a job, in seconds.
MAX_WAIT_S = 30
#: Entries on a page: by default, and at most.
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
#: Bytes of a JSON body, of `metadata`, and of a list of keys (100,000 keys of 128 characters), at most.
MAX_JSON_BYTES, MAX_METADATA_BYTES, MAX_KEYS_BYTES = 64 * 1024, 64 * 1024, 16 * 1024 * 1024
#: The preference `wait` with its value; parameters may follow.
WAIT = re.compile(r"wait\s*=\s*([^;\s]*)", re.IGNORECASE)
#: A number in JSON's syntax.
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: Depth of nested lists and objects: Python's JSON functions are recursive, and limited by the stack.
MAX_JSON_DEPTH = 64


class Query(BaseModel):
    """Base of all queries. Unknown parameters are errors."""

    model_config = ConfigDict(extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _plain_number(cls, text: Any, info: ValidationInfo) -> Any:
        """Accept numbers in JSON's syntax only: pydantic also accepts Python's, such as `1_0` and ` ٣`."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if {int, float} & {kind, *get_args(kind)} and not NUMBER.fullmatch(str(text)):
            raise ValueError("must be a number")
        return text


class Paged(Query):
    """Base of the queries of paged lists."""

    after: str | None = Field(None, max_length=512)
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


class JobsQuery(Paged):
    """`GET /v1/jobs`."""

    kind: JobKind | None = None
    state: JobState | None = None


class UploadQuery(Query):
    """`POST /v1/jobs/{id}/items`."""

    names: str | None = Field(
        None,
        max_length=40,
        description="Encoding of names in archives that are not UTF-8, such as `cp932`. Default: it is guessed.",
    )

    @field_validator("names")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        encoding = known_encoding(name) if name is not None else None
        if name is not None and encoding is None:
            raise ValueError("must be an encoding that extends ASCII, such as cp437, cp850, cp932, gbk or cp1252")
        return encoding


class SubmitQuery(UploadQuery):
    """`POST /v1/jobs`."""

    webhook: str | None = Field(
        None, description="URL to call when the job finishes; only if the body is a single file."
    )
    classifier: str | None = Field(None, description="Classifier whose champion classifies. Default: `cifar10`.")
    version: str | None = Field(None, description="Model version that classifies, instead of the champion.")


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
    unknown: Literal["true", "false"] | None = None
    filename: str | None = Field(None, min_length=1, max_length=255)
    sort: Literal["score"] | None = None


class CsvQuery(Query):
    """`GET /v1/jobs/{id}/results.csv`."""

    excel: Literal["0", "1"] = Field("0", description="1: begin with a byte order mark, so that Excel reads UTF-8.")


class ImageQuery(Query):
    """`GET /v1/jobs/{id}/items/{item}/image`."""

    size: Literal["thumb"] | None = None


class HeatmapQuery(Query):
    """`GET /v1/jobs/{id}/items/{item}/heatmap`."""

    label: str | None = Field(None, description="Name or index of a label. Default: the one with the best score.")


class NewJob(BaseModel):
    """`POST /v1/jobs` with JSON."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal[JobKind.CLASSIFICATION, JobKind.TRAINING] = JobKind.CLASSIFICATION
    params: dict[str, Any] = {}
    metadata: Any = None
    webhook: str | None = Field(None, description="URL to call when the job finishes.")
    classifier: str | None = Field(None, description="Classifier whose champion classifies. Default: `cifar10`.")
    version: str | None = Field(None, description="Model version that classifies, instead of the champion.")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.params and self.kind is JobKind.CLASSIFICATION:
            raise ValueError("params are only for training jobs; a classification job has none")
        if self.pin and self.kind is not JobKind.CLASSIFICATION:
            raise ValueError("classifier and version are only for classification jobs")
        return self

    @property
    def pin(self) -> dict[str, str]:
        """Return the classifier and the version that are given."""
        return {name: value for name in ("classifier", "version") if (value := getattr(self, name)) is not None}


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Any, where: str = "") -> Model:
    """Return `values` as a `model`. Raise InvalidRequest with a fault for each wrong field, prefixed with `where`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [
            Fault(
                where + "/".join(json_pointer.escape(str(part)) for part in fault["loc"]),
                _detail(model, fault["type"], fault["msg"]),
            )
            for fault in error.errors()
        ]
        named = ", ".join(fault.pointer.lstrip("/") or "the body" for fault in faults)
        raise InvalidRequest(f"invalid: {named}", faults) from error


def _detail(model: type[Model], kind: str, text: str) -> str:
    """Return what is wrong with a field. No model has a model in it, so an unknown field is one of its own."""
    if kind == "extra_forbidden":
        return f"is not known; known are: {', '.join(model.model_fields) or 'none'}"
    return text.removeprefix("Value error, ")  # pydantic's, before the text of a ValueError


def query(model: type[Model], request: Request) -> Model:
    """Return the query parameters. Raise InvalidRequest if one is wrong, unknown or repeated."""
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise InvalidRequest(f"repeated: {', '.join(twice)}", [Fault(name, "must not be repeated") for name in twice])
    return checked(model, request.args.to_dict())


def json_value(content: bytes, what: str) -> Any:
    """Return the value of JSON that can be stored and read again. Raise MalformedRequest for any other."""
    try:
        value = json.loads(content, parse_constant=_no_constant)
        _check_storable(value, MAX_JSON_DEPTH)
        return value
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(f"{what} is not JSON: {error}") from error


def json_body(model: type[Model], request: Request, limit: int = MAX_JSON_BYTES) -> Model:
    """Return the JSON body, of at most `limit` bytes, as a `model`.

    Raise UnsupportedMedia, TooLarge, MalformedRequest or InvalidRequest.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMedia(f"the content type must be application/json, not {request.mimetype or 'none'}")
    content = b""
    while len(content) <= limit and (more := request.stream.read(limit + 1)):
        content += more  # up to the end: reading on raises an error if the body is cut short
    if len(content) > limit:
        raise TooLarge(f"the JSON body is longer than {limit} bytes")
    return checked(model, json_value(content, "the body"), "/")


def preferred_wait_s(request: Request) -> float | None:
    """Return the seconds of `Prefer: wait=N` (RFC 7240), at most MAX_WAIT_S; None without or if N is malformed.

    The first `wait` counts. A parameter of another preference (`other; wait=5`) does not.
    """
    preferences = parse_list_header(request.headers.get("Prefer", ""))
    waits = (found[1] for each in preferences if (found := WAIT.match(each)))
    seconds = next(waits, "").strip('"')
    return min(float(seconds), MAX_WAIT_S) if re.fullmatch("[0-9]+", seconds) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check_storable(value: Any, depth: int) -> None:
    """Raise ValueError for JSON that UTF-8, a double or Python's stack cannot hold."""
    if isinstance(value, str):
        value.encode()  # raises UnicodeEncodeError for a lone surrogate
    elif value in (math.inf, -math.inf):
        raise ValueError("a number is too large")
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError(f"lists and objects are nested deeper than {MAX_JSON_DEPTH} levels")
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_storable(part, depth - 1)
