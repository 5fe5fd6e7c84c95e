"""Metrics for Prometheus."""

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
@operation({200: Answer(media=MEDIA, about="All metrics, summed over all web processes.")})
def metrics() -> Response:
    """Get the metrics in Prometheus's text format, or in OpenMetrics if that is accepted.

    Needs the scope `admin` if the service has keys. Keys cannot be checked while Redis is unreachable: then only
    `darkroom_redis_up` and the metrics of requests and the disk are returned.
    """
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry(services(), redis="key" in g)), content_type=content_type)
