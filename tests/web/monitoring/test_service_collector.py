"""Metrics of trainings and webhooks, with a real Redis."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from shared.domain.entities import JobKind
from shared.jobs.deliveries import Attempt, DeliveryOutcome
from shared.jobs.metrics import JobMetrics
from shared.redis import keys
from shared.services import Services
from shared.storage.requests import KINDS, RESULTS
from shared.webhooks.target import parse
from tests.conftest import wait_until
from web.monitoring.service_collector import ServiceCollector


def metrics(services: Services, about: str = "training") -> dict[str, dict[str, float]]:
    """Return metrics as name → label → value."""
    families = [family for family in ServiceCollector(services).collect() if about in family.name]
    return {
        family.name.removeprefix("darkroom_"): {
            ",".join(sample.labels.values()): sample.value for sample in family.samples
        }
        for family in families
    }


def test_least_advanced_training_of_each_preset(services: Services) -> None:
    """Given running trainings of two presets and a queued one, Then labels name presets, not jobs."""
    for preset in ("seed", "fast", "fast", "fast"):
        services.store.submit_training({"preset": preset}, retention_s=3600)
    trainings = [services.trainings.claim("worker") for _ in range(3)]
    assert metrics(services)["training_progress_ratio"] == {"seed": 0, "fast": 0}
    for number, training in enumerate(trainings):
        assert training is not None
        row = {"n": 1, "step": 2 + number, "steps": 10, "loss": 1.5 + number, "accuracy": 0.25}
        assert services.trainings.add_row(training, row, 60)
    assert metrics(services) == {
        "trainings_running": {"": 3},
        "training_progress_ratio": {"seed": 0.2, "fast": 0.3},
        "training_loss": {"seed": 1.5, "fast": 2.5},
        "training_accuracy_ratio": {"seed": 0.25, "fast": 0.25},
    }


def test_requests_to_the_storage(services: Services) -> None:
    """Given a storage on a network, which counts them here, Then they are there as soon as a process has told them."""
    before = metrics(services, "storage")["storage_requests"]
    assert len(before) == len(KINDS) * len(RESULTS) and set(before.values()) == {0}
    for result in ("succeeded", "succeeded", "missing"):
        services.meters.count_request("get", result)
    services.meters.flush()
    assert metrics(services, "storage")["storage_requests"] == before | {"get,succeeded": 2, "get,missing": 1}


def test_requests_are_told_without_a_heartbeat(services: Services) -> None:
    meters = JobMetrics(services.redis, flush_s=0.01)
    for count in (1, 2):
        meters.count_request("get", "succeeded")
        wait_until(lambda count=count: meters.counters().get("storage:get:succeeded") == count, "it is counted")


def test_row_without_a_loss_is_no_sample(services: Services) -> None:
    """Given a training of a Head, whose rows have no loss, Then the scrape has its progress and all other metrics."""
    services.store.submit_training({"preset": "head"}, retention_s=3600)
    training = services.trainings.claim("worker")
    assert training is not None
    row = {"n": 1, "step": 3, "steps": 4, "loss": None, "accuracy": None}
    assert services.trainings.add_row(training, row, 60)
    registry = CollectorRegistry()
    registry.register(ServiceCollector(services))
    text = generate_latest(registry).decode()
    assert 'darkroom_training_progress_ratio{preset="head"} 0.75' in text and "darkroom_training_loss{" not in text


def test_webhook_attempts_and_overdue_deliveries(services: Services) -> None:
    for _ in range(3):
        webhook = parse("https://receiver.example/")
        services.store.cancel(services.store.create(JobKind.CLASSIFICATION, retention_s=60, webhook=webhook))
    for ending in (DeliveryOutcome.DELIVERED, None):
        due = services.deliveries.claim()
        assert due is not None and services.deliveries.end_attempt(due, Attempt(0, 1), ending, delay_s=60)
    assert metrics(services, "attempts")["webhook_attempts"] == {"delivered": 1, "failed": 0, "gone": 0, "postponed": 1}
    lost = ("missing", "changed", "unreadable", "crashed")
    assert {name: metrics(services, "items")["items"][f"failed,{name}"] for name in lost} == dict.fromkeys(lost, 0)
    services.redis.zincrby(keys.RECEIVERS, -30_000, "receiver.example:443")
    assert metrics(services, "overdue")["webhook_overdue_seconds"][""] == pytest.approx(30, abs=10)
    assert services.deliveries.claim() and metrics(services, "overdue")["webhook_overdue_seconds"] == {"": 0}
