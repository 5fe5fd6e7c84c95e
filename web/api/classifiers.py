"""Classifiers: list them, choose the champion of each, and delete one's own."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field

from shared.access.api_keys import Scope
from shared.domain.classifier import CIFAR10, Classifier
from shared.domain.errors import Conflict, Fault, InvalidRequest, NotFound
from shared.models.registry import version_not_found
from web.api.champions import champion_json, etag, expected_revision
from web.auth.access import ANY_KEY, allow, require, visible_card
from web.openapi.operation import JSON, Answer, operation
from web.schemas import responses
from web.schemas.requests import json_body
from web.state import caller, services

blueprint = Blueprint("classifiers", __name__, url_prefix="/v1/classifiers")

#: Longest version that is looked up, in characters.
MAX_VERSION = 128


class Choice(BaseModel):
    """The version to promote."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(max_length=MAX_VERSION)


@blueprint.get("")
@allow(ANY_KEY)
@operation({200: Answer(responses.ClassifierList)})
def index() -> Response:
    """List the classifiers that ship with Darkroom, and those of the key's owner."""
    return jsonify({"data": [_json(found) for found in services().registry.classifiers(caller().owner)]})


@blueprint.get("/<name>")
@allow(ANY_KEY)
@operation({200: Answer(responses.Classifier, ["ETag"]), 304: Answer(headers=["ETag"])}, headers=["If-None-Match"])
def classifier(name: str) -> Response:
    """Get a classifier: its labels, its champion, and links to its versions."""
    answer = _answer(_named(name))
    answer.make_conditional(request)
    return answer


@blueprint.put("/<name>/champion")
@allow(ANY_KEY)  # and the scope `train`, or `admin` for the shipped ones
@operation(
    {200: Answer(responses.Classifier, ["ETag"])}, body={JSON: Choice}, headers=["If-Match"], problems=[412, 428]
)
def promote(name: str) -> Response:
    """Make a version the champion of its classifier, which serves new jobs. To roll back, promote `previous`.

    Send the ETag of the classifier as `If-Match`, so that a change by another client is not overwritten. Needs the
    scope `train`; for a classifier that ships with Darkroom `admin`.
    """
    found = _named(name)
    require(Scope.ADMIN if found.is_shipped else Scope.TRAIN)
    change_champion(found)
    return _answer(found)


@blueprint.delete("/<name>")
@allow(ANY_KEY)  # and the scope `train`
@operation({204: Answer(about="It is gone.")}, problems=[409])
def delete(name: str) -> tuple[str, int]:
    """Delete a classifier of one's own. Its versions stay, and so do the jobs that are pinned to them."""
    found = _named(name)
    require(Scope.TRAIN)
    if found.is_shipped:
        raise Conflict(f"the classifier {name} ships with Darkroom and cannot be deleted")
    services().classifiers.remove(found)
    return "", 204


def change_champion(classifier: Classifier) -> None:
    """Promote the version in the request, under its `If-Match`.

    Raise InvalidRequest if the version does not belong to the classifier, PreconditionRequired, PreconditionFailed.
    """
    wanted, registry = json_body(Choice, request).version, services().registry
    expected = expected_revision(request.if_match, registry.find_alias(classifier))
    try:
        card = visible_card(wanted)
    except NotFound as error:
        raise _wrong_version(str(version_not_found(wanted))) from error
    if card.belongs_to != classifier:
        raise _wrong_version(f"{wanted} is a version of the classifier {card.classifier}, not of {classifier.name}")
    registry.promote(wanted, expected)


def _wrong_version(detail: str) -> InvalidRequest:
    return InvalidRequest(detail, [Fault("/version", detail)])


def _named(name: str) -> Classifier:
    return services().registry.classifier(name, caller().owner)


def _answer(classifier: Classifier) -> Response:
    answer = jsonify(_json(classifier))
    answer.set_etag(etag(services().registry.find_alias(classifier)))
    answer.headers["Cache-Control"] = "private, no-cache"
    return answer


def _json(classifier: Classifier) -> responses.Classifier:
    registry, own = services().registry, f"/v1/classifiers/{classifier.name}"
    alias = registry.find_alias(classifier)
    return {
        "name": classifier.name,
        "owner": classifier.owner,
        "default": classifier == CIFAR10,
        "labels": list(registry.card(alias.version).labels) if alias else [],
        "champion": champion_json(alias) if alias else None,
        "links": {
            "self": own,
            "champion": f"{own}/champion",
            "versions": f"/v1/models?classifier={classifier.name}",
        },
    }
