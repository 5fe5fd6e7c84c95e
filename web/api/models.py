"""`/v1/models`: the versions, their files, two of them compared, and the champion."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from flask import Blueprint, Response, jsonify, request, send_file
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict
from werkzeug.datastructures import ETags

from shared.access.api_keys import Scope
from shared.domain.card import CONFUSIONS_FILE, ModelCard
from shared.domain.errors import Fault, InvalidRequest, NotFound, PreconditionFailed, PreconditionRequired
from shared.domain.times import rfc3339_or_none
from shared.models.champion import Alias
from shared.models.import_queue import ValueRange
from web.auth.access import ANY_KEY, allow
from web.openapi.operation import JSON, MULTIPART, Answer, operation
from web.schemas import responses
from web.schemas.requests import Query, json_body, query
from web.state import services, state
from web.uploads.model_import import ImportService

blueprint = Blueprint("models", __name__, url_prefix="/v1/models")

#: Longest text that is looked up as a version.
MAX_VERSION = 128
#: A version never changes, and so neither do its files.
FILE_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


class CompareQuery(Query):
    """`GET /v1/models/compare`."""

    versions: tuple[str, str]

    @field_validator("versions", mode="before")
    @classmethod
    def _two(cls, text: Any) -> tuple[str, ...]:
        names = tuple(str(text).split(","))
        if len(names) != 2 or names[0] == names[1]:
            raise ValueError("two different versions, with a comma between them")
        return names


class Choice(BaseModel):
    """`PUT /v1/models/aliases/champion`."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=MAX_VERSION)


class ModelParts(TypedDict):
    """A model to be imported."""

    file: Annotated[bytes, Field(description="`.keras` or `.h5`")]
    labels: NotRequired[Annotated[responses.JsonText, Field(description="list of the class names")]]
    value_range: NotRequired[ValueRange]
    name: NotRequired[str]


@blueprint.get("")
@allow(ANY_KEY)
@operation({200: Answer(responses.ModelList)})
def index() -> Response:
    """The cards of all versions, newest first."""
    registry = services().registry
    champion = registry.alias().version
    return jsonify({"data": [model_view(card, champion) for card in registry.versions()]})


@blueprint.post("")
@allow(Scope.ADMIN)
@operation(
    {
        201: Answer(responses.ModelVersion, ["Location"], about="Imported."),
        200: Answer(responses.ModelVersion, ["Location"], about="The same model is there already."),
    },
    body={MULTIPART: ModelParts},
)
def create() -> tuple[Response, int]:
    """Import a model: parts `file` (.keras or .h5), and, where they are known, `labels`, `value_range` and `name`.

    `labels` is a JSON list of the class names; without it a model that answers ten values gets those of CIFAR-10.
    `value_range` is what the pixels that it takes go from and to, `0-255` or `0-1`; without it that is found out.
    """
    card, new = _importer().import_model(request)
    answer = jsonify(model_view(card, services().registry.alias().version))
    answer.headers["Location"] = f"/v1/models/{card.version}"
    return answer, 201 if new else 200


@blueprint.get("/<version>")
@allow(ANY_KEY)
@operation({200: Answer(responses.ModelVersion)})
def card(version: str) -> Response:
    """One version's card."""
    registry = services().registry
    return jsonify(model_view(registry.card(version), registry.alias().version))


@blueprint.get("/<version>/file")
@allow(ANY_KEY)
@operation(
    {200: Answer(media=["application/octet-stream"], headers=["ETag", "Content-Disposition"], about="The bytes.")}
    | {304: Answer(headers=["ETag"])},
    headers=["If-None-Match"],
)
def file(version: str) -> Response:
    """The model itself, for use elsewhere."""
    registry = services().registry
    digest = registry.card(version).file_sha256
    path = registry.model_file(version).absolute()
    name = f"{version}{path.suffix}"
    answer = send_file(path, "application/octet-stream", as_attachment=True, download_name=name, etag=digest)
    answer.headers.update(FILE_HEADERS)
    return answer


@blueprint.get("/<version>/confusions")
@allow(ANY_KEY)
@operation(
    {200: Answer(media=["image/png"], headers=["ETag"], about="The picture."), 304: Answer(headers=["ETag"])},
    headers=["If-None-Match"],
)
def confusions(version: str) -> Response:
    """Pictures of the test images that were taken for another class, a cell for each pair of classes."""
    registry = services().registry
    digest = registry.card(version).file_sha256
    answer = Response(registry.file(version, CONFUSIONS_FILE), content_type="image/png", headers=FILE_HEADERS)
    answer.set_etag(f"{digest}-confusions")
    answer.make_conditional(request)
    return answer


@blueprint.get("/compare")
@allow(ANY_KEY)
@operation({200: Answer(responses.VersionComparison)}, query=CompareQuery, problems=[409])
def compare() -> Response:
    """Two versions on the same test images."""
    first, second = query(CompareQuery, request).versions
    registry = services().registry
    for version in (first, second):
        if not registry.exists(version):
            raise _unknown(version, "versions")
    found = registry.compare(first, second)
    return jsonify({"versions": [first, second], **found.as_dict()})


@blueprint.get("/aliases")
@allow(ANY_KEY)
@operation({200: Answer(responses.Aliases, ["ETag"]), 304: Answer(headers=["ETag"])}, headers=["If-None-Match"])
def aliases() -> Response:
    """Which version serves new jobs, and since when."""
    answer = _aliases(services().registry.alias())
    answer.make_conditional(request)
    return answer


@blueprint.put("/aliases/champion")
@allow(Scope.ADMIN)
@operation(
    {200: Answer(responses.Aliases, ["ETag"])},
    body={JSON: Choice},
    headers=["If-Match"],
    problems=[412, 428],
)
def promote() -> Response:
    """Let a version serve new jobs, where the champion is still the one that the caller has seen."""
    wanted = json_body(Choice, request).version
    registry = services().registry
    expected = _expected(request.if_match, registry.alias())
    try:
        return _aliases(registry.promote(wanted, expected))
    except NotFound as error:
        raise _unknown(wanted, "/version") from error


def model_view(card: ModelCard, champion: str) -> dict[str, Any]:
    """A ModelVersion: its card, whether it is the champion, and where its files are."""
    own = f"/v1/models/{card.version}"
    confusions = f"{own}/confusions" if services().registry.has_confusion_image(card) else None
    links = {"self": own, "file": f"{own}/file", "confusions": confusions, "page": f"/models/{card.version}"}
    return {**card.model_dump(mode="json"), "champion": card.version == champion, "links": links}


def etag(alias: Alias) -> str:
    """Changes with every change of the champion, also where an upgrade ships a newer model and nobody ever chose."""
    return f"{alias.revision}-{alias.version}"


def _aliases(alias: Alias) -> Response:
    champion = {"version": alias.version, "since": rfc3339_or_none(alias.since), "previous": alias.previous}
    response = jsonify({"champion": champion})
    response.set_etag(etag(alias))
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _expected(condition: ETags, now: Alias) -> int | None:
    """The revision that the champion must have; None for any. Raises PreconditionRequired, PreconditionFailed."""
    if not condition:
        raise PreconditionRequired("say which champion you have seen: If-Match with its ETag, or * for any")
    if condition.star_tag:
        return None
    if not condition.contains(etag(now)):
        raise PreconditionFailed(f"the champion is {now.version} since {rfc3339_or_none(now.since)}: look again")
    return now.revision


def _unknown(version: str, pointer: str) -> InvalidRequest:
    detail = f"there is no model version {version[:MAX_VERSION]}"
    return InvalidRequest(detail, [Fault(pointer, detail)])


def _importer() -> ImportService:
    parts = services()
    return ImportService(parts.registry, parts.imports, parts.blobs, state().import_slots)
