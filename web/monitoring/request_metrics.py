"""What `/metrics` tells of requests, in prometheus-client's multiprocess mode, and the registry of one scrape.

Each gunicorn process counts into a file of its own in the folder PROMETHEUS_MULTIPROC_DIR, which `web.server` makes; a
scrape adds up all of them, so it does not matter which process answers it.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from shared.services import Services
from web.monitoring.service_collector import ServiceCollector

#: Upper bounds in seconds: a status request takes a few ms, a long poll 30 s, and a big upload minutes.
DURATIONS_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: Everything else that a client may call its method counts as one.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

#: The environment variable by which prometheus-client finds the folder that all processes count in.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"

OWN = CollectorRegistry()
REQUESTS = Counter(
    "darkroom_http_requests_total", "Requests that were answered", ["method", "route", "status"], registry=OWN
)
SECONDS = Histogram(
    "darkroom_http_request_duration_seconds",
    "From a request's head to its answer; of a streamed answer, to its end",
    ["method", "route"],
    buckets=DURATIONS_S,
    registry=OWN,
)


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one request. `route` is the template of its path, never the path: that has ids. None: there is none."""
    method, route = method if method in METHODS else "other", route or "none"
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)


def registry(services: Services, *, redis: bool) -> CollectorRegistry:
    """What one scrape collects; nothing that Redis would tell where `redis` is false."""
    scrape = CollectorRegistry()
    scrape.register(ServiceCollector(services, redis=redis))
    if METRICS_FOLDER in os.environ:
        MultiProcessCollector(scrape)  # type: ignore[no-untyped-call]
    else:
        scrape.register(OWN)
    return scrape
