"""`/metrics` for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response, request
from prometheus_client.exposition import choose_encoder

from shared.access import Scope
from web.api.requests import services
from web.callers import needs
from web.metrics import registry
from web.openapi.operation import Answer, operation

blueprint = Blueprint("metrics", __name__)

MEDIA = ["text/plain", "application/openmetrics-text"]


@blueprint.get("/metrics")
@needs(Scope.ADMIN)
@operation({200: Answer(media=MEDIA, about="Every metric, with the sums of all processes.")})
def metrics() -> Response:
    """Prometheus's text, or OpenMetrics where that is accepted: the sums of every process."""
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry(services())), content_type=content_type)
