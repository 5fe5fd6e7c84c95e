"""Prometheus with the files of `deploy/prometheus`: its own checks, and a real one that scrapes the running service."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import httpx
import pytest
import yaml

from cli.stack.embedded_redis import free_port
from tests.conftest import NO_TLS, ROOT, Service, wait_until
from tests.contract.test_metrics_api import DEPLOY, queries
from tests.programs import need, promtool

FILES = DEPLOY / "prometheus"
CASES = ROOT / "tests" / "contract" / "alerts.yml"
#: Instead of Grafana's variable, and of 15 s between two scrapes.
INTERVAL, SCRAPE_S = "1m", 1
#: A web server that does not answer.
DEAD = "127.0.0.1:1"


def test_prometheus_accepts_its_files() -> None:
    """Given the configuration and its rules, when promtool checks them, then it finds every alert."""
    (group,) = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"]
    assert f"SUCCESS: {len(group['rules'])} rules found" in promtool("check", "config", FILES / "prometheus.yml")


def test_each_alert_fires_when_its_cause_is_there_and_not_before() -> None:
    (group,) = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"]
    checks = [check for case in yaml.safe_load(CASES.read_text())["tests"] for check in case["alert_rule_test"]]
    alerts = {rule["alert"] for rule in group["rules"]}
    assert {check["alertname"] for check in checks if check.get("exp_alerts")} == alerts
    assert {check["alertname"] for check in checks if not check.get("exp_alerts")} == alerts
    promtool("test", "rules", CASES)


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Run Prometheus with the files of `deploy/prometheus`, the address and the pauses apart; return its client."""
    program, folder, port = need("prometheus"), tmp_path_factory.mktemp("prometheus"), free_port()
    configuration = yaml.safe_load((FILES / "prometheus.yml").read_text())
    configuration["global"] = dict.fromkeys(configuration["global"], f"{SCRAPE_S}s")
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [service.url.removeprefix("http://"), DEAD]
    configuration["rule_files"] = [str(FILES / name) for name in configuration["rule_files"]]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    words = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, *words], cwd=folder, stderr=log)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, verify=NO_TLS) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def answer(prometheus: httpx.Client, path: str, **query: str):
    """Return the data of a call of Prometheus's API; None while it starts."""
    try:
        response = prometheus.get(path, params=query)
    except httpx.TransportError:
        return None
    return response.json()["data"] if response.is_success else None


def family(name: str) -> str:
    """Return the name of the family of a metric, which OpenMetrics writes without its ending."""
    return re.sub(r"_(total|bucket|sum|count|info)$", "", name)


def test_prometheus_reads_everything_that_rules_and_dashboard_name(prometheus: httpx.Client) -> None:
    """Given the running service, when Prometheus scrapes it, then the target is up, and each query has an answer."""

    def is_up() -> bool:
        found = answer(prometheus, "/query", query="up == 1")
        return bool(found and found["result"])

    wait_until(is_up, "the target is up")
    (target,) = [one for one in answer(prometheus, "/targets")["activeTargets"] if one["health"] == "up"]
    assert (target["labels"]["job"], target["lastError"]) == ("darkroom", "")
    known = {family(name) for name in answer(prometheus, "/metadata")}
    for expression in [*queries(DEPLOY / "grafana" / "dashboard.json"), *queries(FILES / "alerts.yml")]:
        query = expression.replace("$__rate_interval", INTERVAL)
        assert answer(prometheus, "/query", query=query) is not None, expression
        assert {family(name) for name in re.findall(r"\bdarkroom_\w+", expression)} <= known, expression


def test_prometheus_evaluates_every_rule(prometheus: httpx.Client) -> None:
    def rules() -> list[dict[str, str]]:
        groups = (answer(prometheus, "/rules") or {"groups": []})["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(lambda: rules() and all(rule["health"] != "unknown" for rule in rules()), "the rules are evaluated")
    assert {rule["name"]: rule.get("lastError") for rule in rules() if rule["health"] != "ok"} == {}


def test_a_web_server_that_does_not_answer_raises_the_alert(prometheus: httpx.Client) -> None:
    """Given two of them, Then the alert is about that one. It fires after a minute."""

    def alerts() -> list[dict[str, str]]:
        found = (answer(prometheus, "/alerts") or {"alerts": []})["alerts"]
        return [one["labels"] for one in found if one["labels"]["alertname"] == "DarkroomDown"]

    (labels,) = wait_until(alerts, "the alert is pending")
    assert (labels["instance"], labels["job"]) == (DEAD, "darkroom")
