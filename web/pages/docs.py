"""`/openapi.json`, the OpenAPI document, and `/docs`, which shows it with Swagger UI."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, render_template, request, send_file

from shared.domain.errors import NotFound
from web.auth.access import EVERYONE, allow
from web.openapi.document import document
from web.openapi.operation import Answer, operation
from web.schemas.requests import Query, query

blueprint = Blueprint("docs", __name__)

#: The files of Swagger UI that the page needs: media type, and path in the wheel.
SWAGGER_FILES = {
    "swagger-ui.css": ("text/css", "flask_openapi_swagger/templates/swagger/css/swagger-ui.css"),
    "swagger-ui-bundle.js": ("text/javascript", "flask_openapi_swagger/templates/swagger/js/swagger-ui-bundle.js"),
}
#: Seconds that a browser keeps them: a year, since their URL changes with their version.
SWAGGER_AGE_S = 365 * 24 * 3600


def install(app: Flask) -> None:
    """Add the pages to `app`. The document is made when it is first asked for: that takes longer than the rest."""
    app.register_blueprint(blueprint)
    app.before_request(_refuse_parameters)


def _refuse_parameters() -> None:
    """Raise InvalidRequest if an operation without parameters gets some; the others check theirs themselves."""
    described = getattr(current_app.view_functions.get(request.endpoint or ""), "operation", None)
    if request.args and request.path.startswith("/v1/") and described is not None and described.query is Query:
        query(Query, request)


@blueprint.get("/openapi.json")
@allow(EVERYONE)
@operation({200: Answer(media=["application/json"], headers=["ETag"], about="OpenAPI 3.1"), 304: Answer()})
def openapi() -> Response:
    """Get the OpenAPI document."""
    response = Response(
        _document(current_app._get_current_object()),  # type: ignore[attr-defined]
        content_type="application/json",
    )
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response


@blueprint.get("/docs")
@allow(EVERYONE)
def docs() -> str:
    """Show every operation; try it."""
    return render_template("docs.html")


@blueprint.get("/docs/<name>")
@allow(EVERYONE)
def swagger_file(name: str) -> Response:
    """Send a file of Swagger UI from its wheel, whose Python is never imported."""
    if name not in SWAGGER_FILES:
        raise NotFound(f"there is no file {name[:64]!r} here")
    media_type, path = SWAGGER_FILES[name]
    return send_file(_wheel()[1] / path, media_type, max_age=SWAGGER_AGE_S if "v" in request.args else None)


@blueprint.app_template_global()
def swagger_version() -> str:
    """Return the wheel's version, for the URLs of its files."""
    return _wheel()[0]


@cache
def _document(app: Flask) -> bytes:
    return json.dumps(document(app), ensure_ascii=False).encode()


@cache
def _wheel() -> tuple[str, Path]:
    wheel = distribution("flask-openapi-swagger")
    return wheel.version, Path(str(wheel.locate_file("")))
