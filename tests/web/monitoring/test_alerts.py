"""Each alert with its cause: promtool evaluates the rules on what `/metrics` says before and after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from prometheus_client.samples import Sample

from shared.domain.entities import Failure, ItemState, JobKind, Outcome, Queue
from shared.jobs.chunks import MAX_DEATHS
from shared.jobs.rounds import PROGRAMS, RECONCILE
from shared.jobs.workers import Worker
from shared.redis import keys
from shared.services import Services
from shared.webhooks.target import parse
from tests.conftest import ROOT
from tests.programs import promtool, small_disk
from tests.shared.kit import RINGS, Kit, uploads
from web.app import create_app
from web.monitoring.request_metrics import registry

RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
MIB = 1024 * 1024
#: The alert that is about Prometheus's own metric; `tests/contract/test_prometheus.py` has its cause.
ABOUT_ITSELF = "DarkroomDown"
#: The disk of this machine may be full for other reasons.
DISK = "darkroom_disk_free_bytes"
REQUESTS = "darkroom_http_requests_total"
#: Samples are 15 seconds apart: 21 before the cause, 41 after it. When the rules are asked, in minutes.
BEFORE, AFTER, BEFORE_MIN, AFTER_MIN = "x20", "x40", 5, 12


def everything_works(services: Services) -> None:
    """Bring about the metrics of a service that works: a worker with the champion, both programs, room in Redis."""
    champion = services.registry.champion().version
    services.workers.record_heartbeat(Worker("host:1:ab", tuple(Queue), champion))
    for program in PROGRAMS:
        services.rounds.record(program)
    services.redis.config_set("maxmemory", 40 * MIB)


def redis_dies(services: Services, _: ExitStack) -> None:
    services.redis.shutdown(nosave=True)


def redis_fills_up(services: Services, _: ExitStack) -> None:
    for number in range(30):
        services.redis.set(f"much:{number}", bytes(MIB))


def disk_fills_up(services: Services, stack: ExitStack) -> None:
    stack.enter_context(small_disk(services.settings.data_dir, 1024 * MIB))


def last_worker_stops(services: Services, _: ExitStack) -> None:
    services.workers.remove("host:1:ab")


def small_job_waits(services: Services, _: ExitStack) -> None:
    job = Kit(services.redis).sealed_job(uploads(1))
    services.redis.hincrby(keys.job(job), "created_at", -40_000)


def big_job_waits(services: Services, _: ExitStack) -> None:
    job = Kit(services.redis).sealed_job(uploads(100))
    services.redis.hincrby(keys.job(job), "created_at", -2 * 3600 * 1000)


def requests_fail(services: Services, stack: ExitStack) -> None:
    redis_dies(services, stack)
    client = create_app(services).test_client()
    assert {client.get("/v1/jobs").status_code for _ in range(9)} == {503}


def picture_is_missing(services: Services, _: ExitStack) -> None:
    kit = Kit(services.redis)
    kit.sealed_job(uploads(1))
    kit.finish(kit.claim(), Outcome(ItemState.FAILED, failure=Failure("missing", "It is gone.")))


def die(services: Services, worker: str, chunks: int = 1) -> None:
    """Let a worker claim the next chunks and die."""
    held = [services.chunks.claim(worker, RINGS) for _ in range(chunks)]
    for chunk in held:
        assert chunk is not None
        services.chunks.release(chunk.id, died=True)


def picture_kills_workers(services: Services, _: ExitStack) -> None:
    Kit(services.redis).sealed_job(uploads(1))
    for number in range(MAX_DEATHS):
        die(services, f"host:{number}:ab")


def three_workers_die(services: Services, _: ExitStack) -> None:
    kit = Kit(services.redis)
    for number in range(3):
        kit.sealed_job(uploads(1))
        die(services, f"host:{number}:ab")


def two_workers_die(services: Services, _: ExitStack) -> None:
    """One of them with many jobs."""
    kit = Kit(services.redis)
    for _number in range(5):
        kit.sealed_job(uploads(1))
    die(services, "host:1:ab", chunks=5)
    die(services, "host:2:ab")


def champion_cannot_be_loaded(services: Services, _: ExitStack) -> None:
    services.workers.record_heartbeat(Worker("host:1:ab", tuple(Queue), None))


def webhooks_wait(services: Services, _: ExitStack) -> None:
    webhook = parse("https://receiver.example/")
    services.store.cancel(services.store.create(JobKind.CLASSIFICATION, retention_s=60, webhook=webhook))
    services.redis.zincrby(keys.RECEIVERS, -400_000, "receiver.example:443")


def training_fails(services: Services, _: ExitStack) -> None:
    services.store.submit_training({"preset": "seed"}, retention_s=3600)
    training = services.trainings.claim("worker")
    assert training is not None and services.trainings.fail(training, Failure("internal", "It failed."))


def reconciler_stops(services: Services, _: ExitStack) -> None:
    services.redis.hincrby(keys.ROUNDS, RECONCILE, -120_000)


Cause = Callable[[Services, ExitStack], None]
#: What happens, and the alerts that fire then.
CAUSES: dict[Cause, set[str]] = {
    redis_dies: {"DarkroomRedisDown"},
    redis_fills_up: {"DarkroomRedisNearlyFull"},
    disk_fills_up: {"DarkroomDiskNearlyFull"},
    last_worker_stops: {"DarkroomNoWorkers"},
    small_job_waits: {"DarkroomInteractiveWaits"},
    big_job_waits: {"DarkroomBacklog"},
    requests_fail: {"DarkroomServerErrors", "DarkroomRedisDown"},
    picture_is_missing: {"DarkroomPicturesLost"},
    picture_kills_workers: {"DarkroomPicturesCrash", "DarkroomWorkersDie"},
    three_workers_die: {"DarkroomWorkersDie"},
    two_workers_die: set(),
    champion_cannot_be_loaded: {"DarkroomChampionNotLoaded"},
    webhooks_wait: {"DarkroomWebhooksWait"},
    training_fails: {"DarkroomTrainingFailed"},
    reconciler_stops: {"DarkroomProgramSilent"},
}


def metrics(services: Services) -> dict[str, float]:
    """Return what Prometheus would read, by series."""
    families = registry(services, redis=True).collect()
    return {named(sample): sample.value for family in families for sample in family.samples}


def named(sample: Sample) -> str:
    labels = (f'{name}="{text}"' for name, text in sample.labels.items())
    return f"{sample.name}{{{', '.join(labels)}}}"


def series(name: str, before: float | None, after: float | None) -> dict[str, str]:
    """Return a series for promtool. One that is not there later ends; requests go on as they were."""
    values = [f"_{BEFORE}" if before is None else f"{before}{BEFORE}"]
    if after is not None:
        grows = after - (before or 0) if name.startswith(REQUESTS) else 0
        values.append(f"{after}+{grows}{AFTER}")
    return {"series": name, "values": " ".join(values)}


def firing(minutes: int, alerts: set[str]) -> dict[str, object]:
    """Return what promtool expects: these alerts fire, and no others."""
    return {
        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{minutes}m",
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)],
    }


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.__name__)
def test_alerts_fire_if_their_cause_is_there(services: Services, tmp_path: Path, cause: Cause) -> None:
    everything_works(services)
    case = tmp_path / "case.yml"
    with ExitStack() as stack:
        before = metrics(services)
        cause(services, stack)
        after = metrics(services)
    names = (before.keys() | after.keys()) - ({DISK + "{}"} if cause is not disk_fills_up else set())
    test = {
        "interval": "15s",
        "input_series": [series(name, before.get(name), after.get(name)) for name in sorted(names)],
        "promql_expr_test": [firing(BEFORE_MIN, set()), firing(AFTER_MIN, CAUSES[cause])],
    }
    case.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]}))
    promtool("test", "rules", case)


def test_each_alert_has_its_cause() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    assert {rule["alert"] for rule in group["rules"]} == set.union(*CAUSES.values()) | {ABOUT_ITSELF}
