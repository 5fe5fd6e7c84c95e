"""What `/metrics` tells of jobs and workers: read from Redis at each scrape, so it is the same from every process."""

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

#: What the scripts count under a bare name: it should seldom happen.
RARE = ("stale_commits", "duplicate_commits", "lost_work", "returned_work")
ENDINGS = ("succeeded", "failed", "cancelled")
#: What may become of a webhook's delivery by one attempt; `postponed`: there will be another.
ATTEMPTS = (*DeliveryOutcome, "postponed")


#: Outcomes of items, with a code behind those that failed, that are told of from 0 on: an alert sees the first of them.
OUTCOMES = ("succeeded", "cancelled", "failed:missing", "failed:changed", "failed:unreadable", "failed:crashed")


class ServiceCollector(Collector):
    """Where Redis cannot be reached, the scrape says so (`darkroom_redis_up`) and has what is known without it."""

    def __init__(self, services: Services, *, redis: bool = True) -> None:
        self._services, self._redis = services, redis

    def collect(self) -> Iterable[Metric]:
        """Every metric but those of requests."""
        found: list[Metric] = []
        with suppress(Unavailable):
            free = self._services.disk.free()
            yield gauge("disk_free_bytes", "Bytes that are free on the disk of the data folder", free)
        with suppress(Unavailable):
            found = list(self._of_redis()) if self._redis else []
        yield gauge("redis_up", "Whether the job store (Redis) answers", bool(found))
        yield from found

    def _of_redis(self) -> Iterator[Metric]:
        used, limit = self._services.store.memory()
        yield gauge("redis_memory_used_bytes", "Bytes of memory that Redis uses", used)
        yield gauge("redis_memory_max_bytes", "Bytes of memory that Redis may use; 0: no limit", limit)
        yield from self._queues()
        yield from self._workers()
        yield from self._counters(self._services.meters.counters())
        yield self._stages()
        yield from self._trainings()
        overdue_s = self._services.deliveries.overdue_s()
        yield gauge("webhook_overdue_seconds", "For how long a webhook is due that nobody sends; 0: none is", overdue_s)

    def _queues(self) -> Iterator[Metric]:
        states = self._services.queues.all()
        yield gauges("queue_jobs", "Jobs that wait", {state.queue: state.jobs for state in states})
        yield gauges("queue_items", "Items that wait", {state.queue: state.depth for state in states})
        ages = {state.queue: state.oldest_age_s or 0.0 for state in states}
        yield gauges("queue_oldest_age_seconds", "Age of the oldest job that waits; 0: none does", ages)

    def _workers(self) -> Iterator[Metric]:
        workers = self._services.workers.alive()
        serving = {queue: sum(queue in worker.queues for worker in workers) for queue in Queue}
        yield gauges("workers", "Worker processes that are alive, in each queue that they serve", serving)
        try:
            champion = self._services.registry.alias().version
        except Unavailable:
            raise
        except DarkroomError:
            return  # no version is there: /readyz says why
        yield InfoMetricFamily("darkroom_champion", "The model version that serves new jobs", {"version": champion})
        classify = [worker for worker in workers if set(CLASSIFICATION_QUEUES) & set(worker.queues)]
        behind = sum(worker.model != champion for worker in classify)
        yield gauge("workers_without_champion", "Workers that classify and have not loaded the champion", behind)

    def _counters(self, counts: Mapping[str, int]) -> Iterator[Metric]:
        items = CounterMetricFamily("darkroom_items", "Items that have ended", labels=["outcome", "code"])
        known = dict.fromkeys(OUTCOMES, 0) | _below("items", counts)
        for name, count in sorted(known.items()):
            outcome, _, code = name.partition(":")
            items.add_metric([outcome, code], count)
        jobs = CounterMetricFamily("darkroom_jobs", "Jobs that have ended", labels=["kind", "outcome"])
        for kind, ending in itertools.product(JobKind, ENDINGS):
            jobs.add_metric([kind, ending], counts.get(f"jobs:{kind}:{ending}", 0))
        rare = CounterMetricFamily("darkroom_rare_events", "What should seldom happen", labels=["event"])
        for event in RARE:
            rare.add_metric([event], counts.get(event, 0))
        attempts = CounterMetricFamily("darkroom_webhook_attempts", "Calls of webhooks", labels=["outcome"])
        for outcome in ATTEMPTS:
            attempts.add_metric([outcome], counts.get(f"attempts:{outcome}", 0))
        yield from (items, jobs, rare, attempts)

    def _stages(self) -> Metric:
        family = HistogramMetricFamily(
            "darkroom_chunk_stage_duration_seconds", "How long the stages of chunks took", labels=["stage"]
        )
        bounds = [*(str(float(bound)) for bound in BUCKETS_S), "+Inf"]
        for stage, found in self._services.meters.stages().items():
            buckets = list(zip(bounds, itertools.accumulate(found.counts), strict=True))
            family.add_metric([stage], buckets, found.sum_s)
        return family

    def _trainings(self) -> Iterator[Metric]:
        running = self._services.trainings.running()
        yield gauge("trainings_running", "Trainings that a worker has in hand", len(running))
        progress, loss, accuracy = (
            GaugeMetricFamily(f"darkroom_training_{name}", text, labels=["preset"])
            for name, text in (
                ("progress_ratio", "Part of the steps that is done, of the running training that is least far"),
                ("loss", "Loss of its last row"),
                ("accuracy_ratio", "Accuracy on its training images in its last row"),
            )
        )
        for preset, (job, row) in _least_far(running).items():
            progress.add_metric([preset], job.step / job.steps if job.steps else 0)
            if row:
                loss.add_metric([preset], row["loss"])
                accuracy.add_metric([preset], row["accuracy"])
        yield from (progress, loss, accuracy)


Running = tuple[Job, Mapping[str, float] | None]


def _least_far(running: Iterable[Running]) -> dict[str, Running]:
    """Of each preset the training that has the most steps before it: a label for each job would never be forgotten."""
    found: dict[str, Running] = {}
    for job, row in sorted(running, key=lambda one: one[0].step / (one[0].steps or 1)):
        found.setdefault(str(job.params["preset"]), (job, row))
    return found


def _below(name: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {key.removeprefix(f"{name}:"): count for key, count in counts.items() if key.startswith(f"{name}:")}


def gauge(name: str, text: str, value: float) -> Metric:
    """One value."""
    return GaugeMetricFamily(f"darkroom_{name}", text, value=float(value))


def gauges(name: str, text: str, values: Mapping[Queue, float]) -> Metric:
    """One value for each queue."""
    family = GaugeMetricFamily(f"darkroom_{name}", text, labels=["queue"])
    for queue, value in values.items():
        family.add_metric([queue], float(value))
    return family
