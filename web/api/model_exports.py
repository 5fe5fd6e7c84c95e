"""Exports of model versions: zips with the network and a program that runs it."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response, jsonify, request
from pydantic import Field
from typing_extensions import TypedDict

from shared.domain.errors import Conflict, Unavailable
from shared.models.exports import Export, ExportFormat
from web.auth.access import ANY_KEY, allow, visible_card
from web.downloads.attachment import attachment
from web.openapi.operation import Answer, operation
from web.schemas.requests import Query, preferred_wait_s, query
from web.state import services, state

blueprint = Blueprint("model_exports", __name__, url_prefix="/v1/models")

#: Seconds after which a client should ask again.
RETRY_AFTER_S = 2


class ExportQuery(Query):
    """`GET /v1/models/{version}/export`."""

    format: ExportFormat = Field(description="Of the network in the zip.")


class ExportLinks(TypedDict):
    """URLs of an export."""

    self: str


class PendingExport(TypedDict):
    """An export that is being made."""

    version: str
    format: ExportFormat
    state: Literal["pending"]
    links: ExportLinks


@blueprint.get("/<version>/export")
@allow(ANY_KEY)
@operation(
    {
        200: Answer(media=["application/zip"], headers=["Content-Disposition", "Preference-Applied"], about="The zip."),
        202: Answer(PendingExport, ["Location", "Retry-After"], about="It is being made: ask again."),
    },
    query=ExportQuery,
    headers=["Prefer"],
    problems=[409],
)
def export(version: str) -> Response:
    """Export a model version for other programs, as a zip.

    It has the network in this format, `labels.txt`, `preprocessing.json`, and `predict.py`, which answers as Darkroom
    does with Pillow, NumPy and the format's own runtime. The first call for a format has it made, which takes some
    seconds; it is kept with the version. If the format cannot express the network, the answer is 409.
    """
    wanted = Export(visible_card(version).version, query(ExportQuery, request).format)
    seconds = preferred_wait_s(request)
    if not (_is_there(wanted) or state().waiter.until(lambda: _is_there(wanted), seconds or 0)):
        return _pending(wanted)
    response = attachment(services().exports.stream(wanted), f"{version}-{wanted.format}.zip", "application/zip")
    if seconds is not None:
        response.headers["Preference-Applied"] = f"wait={seconds:g}"
    return response


def _is_there(wanted: Export) -> bool:
    """Return whether the zip is there; if not, ask for it. Raise Conflict or Unavailable if it cannot be made."""
    exports = services().exports
    if exports.exists(wanted):
        return True
    if problem := exports.problem(wanted):
        detail = f"{wanted.version} cannot be exported as {wanted.format}: {problem.detail}"
        raise Conflict(detail) if problem.final else Unavailable(detail)
    exports.queue.ask(wanted.id)
    return False


def _pending(wanted: Export) -> Response:
    place = f"/v1/models/{wanted.version}/export?format={wanted.format}"
    links: ExportLinks = {"self": place}
    pending: PendingExport = {
        "version": wanted.version,
        "format": wanted.format,
        "state": "pending",
        "links": links,
    }
    response = jsonify(pending)
    response.status_code = 202
    response.headers.update({"Location": place, "Retry-After": str(RETRY_AFTER_S)})
    return response
