"""Metrics of requests, in prometheus-client's multiprocess mode, and the registry of one scrape.

Each gunicorn process counts in its own file in METRICS_FOLDER, which `web.server` makes. A scrape adds up all files, so
any process can answer it.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from shared.services import Services
from web.monitoring import METRICS_FOLDER
from web.monitoring.service_collector import ServiceCollector

#: Upper bounds in seconds: a status request takes a few ms, a long poll 30 s, and a big upload minutes.
DURATIONS_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: Methods with a label; all others count as `other`.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

OWN = CollectorRegistry()
REQUESTS = Counter("darkroom_http_requests_total", "Answered requests", ["method", "route", "status"], registry=OWN)
SECONDS = Histogram(
    "darkroom_http_request_duration_seconds",
    "Time from a request's headers to its response, or to the end of a streamed response",
    ["method", "route"],
    buckets=DURATIONS_S,
    registry=OWN,
)


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one request. `route` is the template of its path, without ids, or None if no route matched."""
    method, route = method if method in METHODS else "other", route or "none"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)


def registry(services: Services, *, redis: bool) -> CollectorRegistry:
    """Return the registry of one scrape; without metrics that are read from Redis if `redis` is false."""
    scrape = CollectorRegistry()
    scrape.register(ServiceCollector(services, redis=redis))
    if METRICS_FOLDER in os.environ:
        MultiProcessCollector(scrape)  # type: ignore[no-untyped-call]
    else:
        scrape.register(OWN)
    return scrape
