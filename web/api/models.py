"""Model versions: list, import, compare, download, and choose the champion."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, NotRequired

from flask import Blueprint, Response, jsonify, request, send_file
from pydantic import Field, field_validator
from typing_extensions import TypedDict

from shared.access.api_keys import Scope
from shared.datasets.names import NAME_PATTERN
from shared.domain.card import CONFUSIONS_FILE, ModelCard
from shared.domain.classifier import CIFAR10
from shared.domain.errors import Fault, InvalidRequest, NotFound
from shared.domain.preprocessing import Channels, Resize, ValueRange
from shared.models.classifiers import Alias
from shared.models.import_queue import KINDS
from web.api.champions import champion_json, etag
from web.api.classifiers import MAX_VERSION, Choice, change_champion
from web.auth.access import ANY_KEY, allow, may_see_version, visible_card
from web.openapi.operation import JSON, MULTIPART, Answer, operation
from web.schemas import responses
from web.schemas.requests import Query, query
from web.state import caller, services, state
from web.uploads.model_import import ImportService

blueprint = Blueprint("models", __name__, url_prefix="/v1/models")

#: A version and its files never change.
FILE_HEADERS = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


class CompareQuery(Query):
    """`GET /v1/models/compare`."""

    versions: tuple[str, str]

    @field_validator("versions", mode="before")
    @classmethod
    def _two_versions(cls, text: Any) -> tuple[str, ...]:
        names = tuple(str(text).split(","))
        if len(names) != 2 or names[0] == names[1]:
            raise ValueError("must be two different versions, separated by a comma")
        return names


class ModelsQuery(Query):
    """`GET /v1/models`."""

    classifier: str | None = Field(None, description="Only the versions of this classifier.")


class ModelParts(TypedDict):
    """A model to import."""

    file: Annotated[bytes, Field(description=f"{KINDS[0].upper()}{KINDS[1:]}.")]
    labels: NotRequired[
        Annotated[responses.JsonText, Field(description="JSON list of the class names, in the order of the outputs.")]
    ]
    value_range: NotRequired[ValueRange]
    scale: NotRequired[Annotated[responses.JsonText, Field(description="JSON: a number, or a list of three.")]]
    offset: NotRequired[Annotated[responses.JsonText, Field(description="JSON: a number, or a list of three.")]]
    channels: NotRequired[Channels]
    resize: NotRequired[Resize]
    name: NotRequired[str]
    classifier: NotRequired[
        Annotated[str, Field(pattern=f"^{NAME_PATTERN.pattern}$", description="Name of the version's classifier.")]
    ]


@blueprint.get("")
@allow(ANY_KEY)
@operation({200: Answer(responses.ModelList)}, query=ModelsQuery)
def index() -> Response:
    """List the model versions that ship with Darkroom or are the owner's own, newest first."""
    name = query(ModelsQuery, request).classifier
    cards = [
        card for card in services().registry.versions() if may_see_version(card) and name in (None, card.classifier)
    ]
    champions = services().registry.champions(card.belongs_to for card in cards)
    return jsonify({"data": [model_json(card, champions) for card in cards]})


@blueprint.post("")
@allow(Scope.ADMIN)
@operation(
    {
        201: Answer(responses.ModelVersion, ["Location"], about="Imported."),
        200: Answer(responses.ModelVersion, ["Location"], about="The same model was imported before."),
    },
    body={MULTIPART: ModelParts},
)
def create() -> tuple[Response, int]:
    """Import a model that was trained elsewhere.

    Send it as the part `file`: of Keras (`.keras`, `.h5`), ONNX, TFLite (LiteRT), a zip archive with a SavedModel or
    with OpenVINO's `.xml` and `.bin`, or an archive that Teachable Machine, Lobe or Custom Vision has exported.
    `labels` defaults to those in the file or its archive, or to those of CIFAR-10 if the model has ten outputs. One
    output needs two labels.

    `value_range` is what the model takes instead of the values from 0 to 255 of a picture. Any other linear map is
    sent as `scale` and `offset` (`value × scale + offset`), each one number or three for red, green and blue, and
    `channels`. If all are missing, they are detected, and `notes` of the answer says how; if they cannot be detected,
    the model is refused. `resize` says whether the network sees the whole picture, squashed to the size of its input
    (`squash`), or the part in the middle that has the shape of its input (`crop`); the default is `squash`, for what
    Teachable Machine and Lobe export `crop`. `name` defaults to the name of the file.

    The version belongs to `classifier`; by default to `cifar10` if its labels are that one's, else to a new classifier
    that is called as the file. The first version of a classifier becomes its champion.
    """
    card, new = _importer().import_model(request, caller().owner)
    answer = jsonify(_json(card))
    answer.headers["Location"] = f"/v1/models/{card.version}"
    return answer, 201 if new else 200


@blueprint.get("/<version>")
@allow(ANY_KEY)
@operation({200: Answer(responses.ModelVersion)})
def card(version: str) -> Response:
    """Get the card of a model version."""
    return jsonify(_json(visible_card(version)))


@blueprint.get("/<version>/file")
@allow(ANY_KEY)
@operation(
    {200: Answer(media=["application/octet-stream"], headers=["ETag", "Content-Disposition"], about="The model file.")}
    | {304: Answer(headers=["ETag"])},
    headers=["If-None-Match"],
)
def file(version: str) -> Response:
    """Download the file of a model version."""
    digest = visible_card(version).file_sha256
    path = services().registry.network_file(version).absolute()
    name = f"{version}{path.suffix}"
    answer = send_file(path, "application/octet-stream", as_attachment=True, download_name=name, etag=digest)
    answer.headers.update(FILE_HEADERS)
    return answer


@blueprint.get("/<version>/confusions")
@allow(ANY_KEY)
@operation(
    {
        200: Answer(media=["image/png"], headers=["ETag"], about="A PNG with a cell for each pair of classes."),
        304: Answer(headers=["ETag"]),
    },
    headers=["If-None-Match"],
)
def confusions(version: str) -> Response:
    """Get a picture of the test images that the version confuses, by pair of classes."""
    digest = visible_card(version).file_sha256
    answer = Response(
        services().registry.file(version, CONFUSIONS_FILE), content_type="image/png", headers=FILE_HEADERS
    )
    answer.set_etag(f"{digest}-confusions")
    answer.make_conditional(request)
    return answer


@blueprint.get("/compare")
@allow(ANY_KEY)
@operation({200: Answer(responses.VersionComparison)}, query=CompareQuery, problems=[409])
def compare() -> Response:
    """Compare two model versions on the test images that both were measured on.

    Only versions of the same dataset may have others, too; `left_out` counts them.
    """
    first, second = query(CompareQuery, request).versions
    for version in (first, second):
        try:
            visible_card(version)
        except NotFound as error:
            raise _unknown(version, "versions") from error
    found = services().registry.compare(first, second)
    return jsonify({"versions": [first, second], **found.as_dict()})


@blueprint.get("/aliases")
@allow(ANY_KEY)
@operation({200: Answer(responses.Aliases, ["ETag"]), 304: Answer(headers=["ETag"])}, headers=["If-None-Match"])
def aliases() -> Response:
    """Get the champion of the default classifier: the model version that serves new jobs."""
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
    """Make a model version the champion of the default classifier.

    Send the ETag of the current aliases as `If-Match`, so that a change by another client is not overwritten.
    """
    change_champion(CIFAR10)
    return _aliases(services().registry.alias())


def _json(card: ModelCard) -> dict[str, Any]:
    return model_json(card, services().registry.champions([card.belongs_to]))


def model_json(card: ModelCard, champions: Collection[str]) -> dict[str, Any]:
    """Return the JSON of a model version. `champions` has its name if it is the champion of its classifier."""
    own, registry = f"/v1/models/{card.version}", services().registry
    confusions = f"{own}/confusions" if registry.has_confusion_image(card) else None
    links = {"self": own, "file": f"{own}/file", "confusions": confusions, "page": f"/models/{card.version}"}
    return {**card.model_dump(mode="json"), "champion": card.version in champions, "links": links}


def _aliases(alias: Alias) -> Response:
    response = jsonify({"champion": champion_json(alias)})
    response.set_etag(etag(alias))
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _unknown(version: str, pointer: str) -> InvalidRequest:
    detail = f"there is no model version {version[:MAX_VERSION]}"
    return InvalidRequest(detail, [Fault(pointer, detail)])


def _importer() -> ImportService:
    parts = services()
    return ImportService(parts.registry, parts.datasets, parts.imports, parts.blobs, state().import_slots)
