"""Prometheus metrics of requests and of the service."""

#: Environment variable with the folder in which all web processes count. Set it before prometheus-client is imported.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
