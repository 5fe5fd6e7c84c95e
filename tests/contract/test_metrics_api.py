"""`GET /metrics` of the running service: sums over all processes, in the format of Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from shared.domain.entities import Queue
from shared.jobs.metrics import STAGES
from tests.conftest import ROOT, Service, wait_until
from tests.integration.helpers import finished, open_job, png, submit
from web.monitoring.service_collector import RARE

OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
DEPLOY = ROOT / "deploy"


def scrape(service: Service) -> list[Metric]:
    """Return a scrape on a new connection, which any process may serve, parsed strictly as OpenMetrics."""
    with service.client() as client:
        return list(text_string_to_metric_families(client.get("/metrics", headers=OPEN_METRICS).text))


def value(service: Service, name: str, **labels: str) -> float:
    """Return the sum of the samples with these labels."""
    samples = [sample for family in scrape(service) for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if sample.labels.items() >= labels.items())


def test_any_process_answers_with_the_requests_of_all(service: Service) -> None:
    """Given two gunicorn processes, when requests come on many connections, then each scrape counts all."""
    labels = {"method": "GET", "route": "/v1/jobs/<job_id>", "status": "404"}
    before = value(service, "darkroom_http_requests_total", **labels)

    def ask(number: int) -> None:
        with service.client() as client:
            assert client.get(f"/v1/jobs/{number:032x}").status_code == 404

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    seen = {value(service, "darkroom_http_requests_total", **labels) for _ in range(12)}
    assert seen == {before + 40}


def test_labels_hold_templates_and_never_what_a_client_chose(service: Service, http: httpx.Client) -> None:
    job = open_job(http)
    http.request("TELEPORT", f"/v1/jobs/{job}")
    http.get(f"/nowhere/{job}")
    http.post(f"/v1/jobs/{job}/cancel")
    text = http.get("/metrics").text
    assert job not in text and "TELEPORT" not in text and "nowhere" not in text
    assert value(service, "darkroom_http_requests_total", method="other", route="none") >= 1


def test_items_are_counted_by_outcome_and_chunks_by_stage(service: Service, http: httpx.Client) -> None:
    def counts() -> tuple[float, ...]:
        return (
            value(service, "darkroom_items_total", outcome="succeeded"),
            value(service, "darkroom_items_total", outcome="failed", code="unsupported_format"),
            value(service, "darkroom_items_total", outcome="failed", code="truncated"),
            value(service, "darkroom_jobs_total", kind="classification", outcome="succeeded"),
        )

    def stages() -> list[float]:
        name = "darkroom_chunk_stage_duration_seconds_count"
        return [value(service, name, stage=stage) for stage in STAGES]

    before, chunks = counts(), stages()
    broken = png(5)[:-1200]
    finished(http, submit(http, ("a.png", png(1)), ("b.png", png(2)), ("c.txt", b"words"), ("d.png", broken)))
    assert [now - then for now, then in zip(counts(), before, strict=True)] == [2, 1, 1, 1]
    wait_until(lambda: all(now > then for now, then in zip(stages(), chunks, strict=True)), "the stages are told")


def test_metrics_of_the_champion_and_the_queues(service: Service, http: httpx.Client) -> None:
    for queue in Queue:
        assert value(service, "darkroom_workers", queue=queue) >= 1
        assert value(service, "darkroom_queue_items", queue=queue) == 0
    champion = http.get("/v1/models/aliases").json()["champion"]["version"]
    assert value(service, "darkroom_champion_info", version=champion) == 1
    assert value(service, "darkroom_workers_without_champion") == 0
    assert 0 < value(service, "darkroom_redis_memory_used_bytes") < value(service, "darkroom_redis_memory_max_bytes")
    assert value(service, "darkroom_disk_free_bytes") > 0 and value(service, "darkroom_redis_up") == 1


def test_names_are_as_prometheus_wants_them(service: Service, http: httpx.Client) -> None:
    assert http.get("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for family in scrape(service):
        assert re.fullmatch(r"darkroom_[a-z_]+", family.name), family.name
        assert family.documentation
        assert not re.search(r"_(ms|milliseconds|mib|percent|count|total)$", family.name), family.name


def queries(path: Path) -> Iterator[str]:
    """Return every PromQL expression of a dashboard or a rules file."""

    def below(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "expr")
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from below(child)

    text = path.read_text()
    yield from below(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))


@pytest.mark.parametrize("name", ["grafana/dashboard.json", "prometheus/alerts.yml"])
def test_metrics_in_dashboards_and_rules_exist(service: Service, name: str) -> None:
    """Given a scrape, then it has each metric that the file names, with the label values in its queries."""
    found = {family.name for family in scrape(service)}
    found |= {f"{family}_{ending}" for family in found for ending in ("total", "info", "bucket", "count", "sum")}
    expressions = list(queries(DEPLOY / name))
    assert len(expressions) > 10
    for expression in expressions:
        assert set(re.findall(r"\bdarkroom_\w+", expression)) <= found, expression
        assert set(re.findall(r'queue="(\w+)"', expression)) <= set(Queue)
        assert set(re.findall(r'event="(\w+)"', expression)) <= set(RARE)


def test_each_alert_is_explained() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    groups = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    assert len(alerts) == len(set(alerts)) > 10
    assert [alert for alert in alerts if f"| `{alert}` |" not in text] == []


def test_prometheus_and_grafana_read_the_files_that_are_there() -> None:
    """Given the files of the profile `monitoring`, then they parse, and their references match."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert all((DEPLOY / "prometheus" / file).is_file() for file in config["rule_files"])
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    assert compose["web"]["ports"][0].endswith(target.removeprefix("web"))
    mounts = [volume.split(":") for name in ("prometheus", "grafana") for volume in compose[name]["volumes"]]
    assert all((ROOT / source).exists() for source, *_ in mounts if source.startswith("./"))
    source = yaml.safe_load((DEPLOY / "grafana" / "datasource.yml").read_text())["datasources"][0]
    assert source["url"].startswith("http://prometheus:")
    folder = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yml").read_text())["providers"][0]["options"]["path"]
    assert any(target.startswith(f"{folder}/") for _, target, *_ in mounts)
