"""`/metrics` for Prometheus."""

from __future__ import annotations

from flask import Blueprint, Response, g, request
from prometheus_client.exposition import choose_encoder

from shared.access.api_keys import Scope
from web.auth.access import allow
from web.monitoring.request_metrics import registry
from web.openapi.operation import Answer, operation
from web.state import services

blueprint = Blueprint("metrics", __name__)

MEDIA = ["text/plain", "application/openmetrics-text"]


@blueprint.get("/metrics")
@allow(Scope.ADMIN, without_redis=True)
@operation({200: Answer(media=MEDIA, about="Every metric, with the sums of all processes.")})
def metrics() -> Response:
    """Prometheus's text, or OpenMetrics where that is accepted: the sums of every process.

    Where keys are in use, for one with the scope `admin`. While Redis is away nobody can tell who asks; then there is
    nothing of any job, but that it is away is told, and so are the requests that failed for it.
    """
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry(services(), redis="key" in g)), content_type=content_type)
