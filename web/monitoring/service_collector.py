"""Metrics of jobs and workers, read from Redis at each scrape, so every web process returns the same."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from shared.domain.entities import CLASSIFICATION_QUEUES, Job, JobKind, Queue
from shared.domain.errors import DarkroomError, Unavailable
from shared.jobs.deliveries import DeliveryOutcome
from shared.jobs.metrics import BUCKETS_S
from shared.services import Services
from shared.storage.requests import KINDS, RESULTS

#: Counters of events that should be rare; the names are those of the Lua scripts.
RARE = ("stale_commits", "duplicate_commits", "lost_work", "lost_workers", "returned_work")
ENDINGS = ("succeeded", "failed", "cancelled")
#: Outcomes of one attempt to deliver a webhook; `postponed` means that another attempt follows.
ATTEMPTS = (*DeliveryOutcome, "postponed")
#: Item outcomes, with the error code of a failure, that are exported from 0 on: an alert sees the first one.
OUTCOMES = ("succeeded", "cancelled", "failed:missing", "failed:changed", "failed:unreadable", "failed:crashed")


class ServiceCollector(Collector):
    """Collector of all other metrics. If Redis is unreachable, `darkroom_redis_up` is 0 and most are missing."""

    def __init__(self, services: Services, *, redis: bool = True) -> None:
        self._services, self._redis = services, redis

    def collect(self) -> Iterable[Metric]:
        """Yield every metric except those of requests."""
        found: list[Metric] = []
        with suppress(Unavailable):
            free = self._services.disk.free()
            yield gauge("disk_free_bytes", "Free bytes on the disk of the data folder", free)
        with suppress(Unavailable):
            found = list(self._redis_metrics()) if self._redis else []
        yield gauge("redis_up", "Whether the job store (Redis) answers", bool(found))
        yield from found

    def _redis_metrics(self) -> Iterator[Metric]:
        used, limit = self._services.store.memory()
        yield gauge("redis_memory_used_bytes", "Memory used by Redis", used)
        yield gauge("redis_memory_max_bytes", "Memory limit of Redis; 0 means no limit", limit)
        yield from self._queues()
        yield from self._workers()
        yield from self._counters(self._services.meters.counters())
        yield self._stages()
        yield from self._trainings()
        text = "Time since a program on any machine showed a sign of life; infinite if none ever did"
        yield gauges("program_silent_seconds", text, self._services.rounds.silent_s(), "program")
        overdue_s = self._services.deliveries.overdue_s()
        yield gauge(
            "webhook_overdue_seconds",
            "Age of the oldest due webhook that is not being sent; 0 if none is due",
            overdue_s,
        )

    def _queues(self) -> Iterator[Metric]:
        states = self._services.queues.all()
        yield gauges("queue_jobs", "Waiting jobs", {state.queue: state.jobs for state in states})
        yield gauges("queue_items", "Waiting items", {state.queue: state.depth for state in states})
        ages = {state.queue: state.oldest_age_s or 0.0 for state in states}
        yield gauges("queue_oldest_age_seconds", "Age of the oldest waiting job; 0 if none is waiting", ages)

    def _workers(self) -> Iterator[Metric]:
        workers = self._services.workers.alive()
        serving = {queue: sum(queue in worker.queues for worker in workers) for queue in Queue}
        yield gauges("workers", "Live worker processes by queue", serving)
        try:
            champion = self._services.registry.alias().version
        except Unavailable:
            raise
        except DarkroomError:
            return  # no model version is published; /readyz says so
        yield InfoMetricFamily("darkroom_champion", "Model version that serves new jobs", {"version": champion})
        classify = [worker for worker in workers if set(CLASSIFICATION_QUEUES) & set(worker.queues)]
        behind = sum(worker.model != champion for worker in classify)
        yield gauge("workers_without_champion", "Classify workers that have not loaded the champion", behind)

    def _counters(self, counts: Mapping[str, int]) -> Iterator[Metric]:
        items = CounterMetricFamily("darkroom_items", "Finished items", labels=["outcome", "code"])
        known = dict.fromkeys(OUTCOMES, 0) | _below("items", counts)
        for name, count in sorted(known.items()):
            outcome, _, code = name.partition(":")
            items.add_metric([outcome, code], count)
        jobs = CounterMetricFamily("darkroom_jobs", "Finished jobs", labels=["kind", "outcome"])
        for kind, ending in itertools.product(JobKind, ENDINGS):
            jobs.add_metric([kind, ending], counts.get(f"jobs:{kind}:{ending}", 0))
        rare = CounterMetricFamily("darkroom_rare_events", "Events that should be rare", labels=["event"])
        for event in RARE:
            rare.add_metric([event], counts.get(event, 0))
        attempts = CounterMetricFamily("darkroom_webhook_attempts", "Webhook delivery attempts", labels=["outcome"])
        for outcome in ATTEMPTS:
            attempts.add_metric([outcome], counts.get(f"attempts:{outcome}", 0))
        text = "Requests to S3, without repetitions and the parts of large files"
        requests = CounterMetricFamily("darkroom_storage_requests", text, labels=["kind", "result"])
        for request, result in itertools.product(KINDS, RESULTS):
            requests.add_metric([request, result], counts.get(f"storage:{request}:{result}", 0))
        yield from (items, jobs, rare, attempts, requests)

    def _stages(self) -> Metric:
        family = HistogramMetricFamily(
            "darkroom_chunk_stage_duration_seconds", "Duration of the stages of chunks", labels=["stage"]
        )
        bounds = [*(str(float(bound)) for bound in BUCKETS_S), "+Inf"]
        for stage, found in self._services.meters.stages().items():
            buckets = list(zip(bounds, itertools.accumulate(found.counts), strict=True))
            family.add_metric([stage], buckets, found.sum_s)
        return family

    def _trainings(self) -> Iterator[Metric]:
        running = self._services.trainings.running()
        yield gauge("trainings_running", "Running trainings", len(running))
        progress, loss, accuracy = (
            GaugeMetricFamily(f"darkroom_training_{name}", text, labels=["preset"])
            for name, text in (
                ("progress_ratio", "Share of completed steps of the least advanced running training"),
                ("loss", "Training loss in its last metrics row"),
                ("accuracy_ratio", "Training accuracy in its last metrics row"),
            )
        )
        for preset, (job, row) in _least_advanced(running).items():
            progress.add_metric([preset], job.step / job.steps if job.steps else 0)
            for family, figure in ((loss, "loss"), (accuracy, "accuracy")):
                value = (row or {}).get(figure)
                if value is not None:  # a Head has neither, nor has a pretrained network before its first step
                    family.add_metric([preset], value)
        yield from (progress, loss, accuracy)


Running = tuple[Job, Mapping[str, float | None] | None]


def _least_advanced(running: Iterable[Running]) -> dict[str, Running]:
    """Return the least advanced training of each preset: Prometheus would keep a label per job forever."""
    found: dict[str, Running] = {}
    for job, row in sorted(running, key=lambda one: one[0].step / (one[0].steps or 1)):
        found.setdefault(str(job.params["preset"]), (job, row))
    return found


def _below(name: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {key.removeprefix(f"{name}:"): count for key, count in counts.items() if key.startswith(f"{name}:")}


def gauge(name: str, text: str, value: float) -> Metric:
    """Return a gauge with one value."""
    return GaugeMetricFamily(f"darkroom_{name}", text, value=float(value))


def gauges(name: str, text: str, values: Mapping[Queue, float] | Mapping[str, float], label: str = "queue") -> Metric:
    """Return a gauge with one value for each value of a label."""
    family = GaugeMetricFamily(f"darkroom_{name}", text, labels=[label])
    for labelled, value in values.items():
        family.add_metric([labelled], float(value))
    return family
