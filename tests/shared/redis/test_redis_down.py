"""Redis outages: each call raises Unavailable in time, and work continues after a restart."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cli.stack.embedded_redis import free_port, redis_server_path
from shared.access.api_keys import Scope
from shared.access.key_store import KeyStore
from shared.access.quotas import QuotaKind, Quotas
from shared.code import ServiceCode
from shared.domain.classifier import Classifier
from shared.domain.entities import Chunk, Counts, Failure, Job, JobKind, JobState, Queue, Training, new_id
from shared.domain.errors import Unavailable
from shared.jobs.chunks import ChunkStore
from shared.jobs.deliveries import Attempt, ClaimedDelivery, DeliveryStore
from shared.jobs.job_list import JobList
from shared.jobs.messenger import Messenger
from shared.jobs.results import Results
from shared.jobs.rounds import RECONCILE, Rounds
from shared.jobs.store import MAX_MEMORY_SHARE, SCRIPT_BATCH, JobStore
from shared.jobs.trainings import TrainingStore
from shared.jobs.workers import Worker, Workers
from shared.models.classifiers import Classifiers
from shared.redis.connection import CONNECT_TIMEOUT_S, RESPONSE_TIMEOUT_S, connect
from shared.training.speeds import Speed, TrainingSpeeds
from shared.webhooks.signing_secrets import WebhookSecrets
from shared.webhooks.target import parse
from tests.conftest import PATIENCE_S, answers, wait_until
from tests.shared.kit import RINGS, Kit, sure, upload, uploads

#: Seconds within which the API must respond.
IN_TIME_S = 5
JOB = new_id()
CHUNK = Chunk(new_id(), JOB, "net-1", (upload("a"),))
TRAINING = Training(new_id(), JOB, {})
WEBHOOK = parse("https://receiver.example/hook")
ENDED = Job(JOB, JobKind.CLASSIFICATION, JobState.SUCCEEDED, created_at=0)
DUE = ClaimedDelivery(f"{JOB}-1", new_id(), WEBHOOK.receiver, WEBHOOK.url, 1, ENDED)
OWN = Classifier("fruit", "ann")
WORKER = Worker("host:1", ("bulk",), "net-1")

CALLS: dict[str, Callable[[str], object]] = {
    **{
        f"JobStore.{name}": lambda url, call=call: call(JobStore(connect(url)))
        for name, call in {
            "ping": lambda store: store.ping(),
            "check": lambda store: store.check(),
            "check_memory": lambda store: store.check_memory(),
            "memory": lambda store: store.memory(),
            "exists": lambda store: store.exists(JOB),
            "create": lambda store: store.create(JobKind.CLASSIFICATION, retention_s=1),
            "add": lambda store: store.add(JOB, uploads(1), 10),
            "add_last": lambda store: store.add_last(JOB, uploads(1), 10),
            "reserve_numbers": lambda store: store.reserve_numbers(JOB, 2),
            "seal": lambda store: store.seal(JOB),
            "get": lambda store: store.get(JOB),
            "is_done": lambda store: store.is_done(JOB),
            "is_sealed": lambda store: store.is_sealed(JOB),
            "queue_of": lambda store: store.queue_of(JOB),
            "owner_and_kind": lambda store: store.owner_and_kind(JOB),
            "revision": lambda store: store.revision(JOB),
            "set_metadata": lambda store: store.set_metadata(JOB, 1),
            "set_params": lambda store: store.set_params(JOB, {"label": "cat"}),
            "pin": lambda store: store.pin(JOB, "pets", "net-1"),
            "set_webhook": lambda store: store.set_webhook(JOB, WEBHOOK),
            "item": lambda store: store.item(JOB, "a"),
            "cancel": lambda store: store.cancel(JOB),
            "fail": lambda store: store.fail(JOB, Failure("a", "b")),
            "retry": lambda store: store.retry(JOB),
            "retryable": lambda store: store.retryable(JOB),
            "remove": lambda store: store.remove(JOB),
            "forget": lambda store: store.forget(JOB),
            "removing": lambda store: store.removing(),
            "expired": lambda store: store.expired(5),
            "is_listed": lambda store: store.is_listed(JOB),
            "submit_training": lambda store: store.submit_training({}, retention_s=60),
        }.items()
    },
    **{
        f"ChunkStore.{name}": lambda url, call=call: call(ChunkStore(connect(url)))
        for name, call in {
            "claim": lambda chunks: chunks.claim("worker", RINGS),
            "claim_together": lambda chunks: chunks.claim_together("worker", RINGS),
            "linger": lambda chunks: chunks.linger("worker", 1),
            "renew": lambda chunks: chunks.renew(CHUNK.id),
            "commit": lambda chunks: chunks.commit(CHUNK, {"a": sure()}),
            "commit_all": lambda chunks: chunks.commit_all([(CHUNK, {"a": sure()})]),
            "release": lambda chunks: chunks.release(CHUNK.id),
            "expired_leases": lambda chunks: chunks.expired_leases(5),
            "backlog": lambda chunks: chunks.backlog(),
        }.items()
    },
    **{
        f"TrainingStore.{name}": lambda url, call=call: call(TrainingStore(connect(url)))
        for name, call in {
            "claim": lambda trainings: trainings.claim("worker"),
            "command": lambda trainings: trainings.command(TRAINING),
            "add_row": lambda trainings: trainings.add_row(TRAINING, {"n": 1, "step": 1, "steps": 2}, 5),
            "rows": lambda trainings: trainings.rows(JOB, 0, 5),
            "finish": lambda trainings: trainings.finish(JOB),
            "running": lambda trainings: trainings.running(),
            "planned_version": lambda trainings: trainings.planned_version(TRAINING),
            "plan_version": lambda trainings: trainings.plan_version(TRAINING, "seed-1"),
            "succeed": lambda trainings: trainings.succeed(TRAINING, "seed-1", {}),
            "fail": lambda trainings: trainings.fail(TRAINING, Failure("a", "b")),
        }.items()
    },
    "KeyStore.all": lambda url: KeyStore(connect(url)).all(),
    "KeyStore.create": lambda url: KeyStore(connect(url)).create("ann", "ann", [Scope.SUBMIT]),
    "KeyStore.revoke": lambda url: KeyStore(connect(url)).revoke("ann"),
    "KeyStore.secret": lambda url: KeyStore(connect(url)).secret(),
    "Quotas.charge": lambda url: Quotas(connect(url), {QuotaKind.REQUESTS: 1}).charge(QuotaKind.REQUESTS, "ann"),
    **{
        f"Classifiers.{name}": lambda url, call=call: call(Classifiers(connect(url)))
        for name, call in {
            "add": lambda classifiers: classifiers.add(OWN),
            "remove": lambda classifiers: classifiers.remove(OWN),
            "names": lambda classifiers: classifiers.names("ann"),
            "exists": lambda classifiers: classifiers.exists(OWN),
            "alias": lambda classifiers: classifiers.alias(OWN),
            "promote": lambda classifiers: classifiers.promote(OWN, "seed-2", "seed-1", None),
            "record_use": lambda classifiers: classifiers.record_use(OWN),
            "in_use": lambda classifiers: classifiers.in_use(),
        }.items()
    },
    "TrainingSpeeds.all": lambda url: TrainingSpeeds(connect(url)).all(),
    "TrainingSpeeds.record": lambda url: TrainingSpeeds(connect(url)).record("seed", Speed(5.0, "host")),
    **{
        f"Results.{name}": lambda url, call=call: call(Results(connect(url)))
        for name, call in {
            "finished": lambda results: results.finished(JOB, 5),
            "least_confident": lambda results: results.least_confident(JOB, 5),
            "items": lambda results: results.items(JOB, 5),
            "item_keys": lambda results: results.item_keys(JOB, 5),
            "stream": lambda results: list(results.stream(JOB)),
        }.items()
    },
    **{
        f"DeliveryStore.{name}": lambda url, call=call: call(DeliveryStore(connect(url)))
        for name, call in {
            "claim": lambda deliveries: deliveries.claim(["receiver.example:443"]),
            "end_attempt": lambda deliveries: deliveries.end_attempt(DUE, Attempt(0, 1), None, 5),
            "overdue_s": lambda deliveries: deliveries.overdue_s(),
            "of_job": lambda deliveries: deliveries.of_job(ENDED),
            "get": lambda deliveries: deliveries.get(DUE.id),
            "redeliver": lambda deliveries: deliveries.redeliver(DUE.id),
        }.items()
    },
    "WebhookSecrets.get": lambda url: WebhookSecrets(connect(url)).get("ann"),
    "WebhookSecrets.replace": lambda url: WebhookSecrets(connect(url)).replace("ann"),
    "ServiceCode.record": lambda url: ServiceCode(connect(url)).record(),
    "ServiceCode.get": lambda url: ServiceCode(connect(url)).get(),
    "Workers.record_heartbeat": lambda url: Workers(connect(url)).record_heartbeat(WORKER),
    "Workers.remove": lambda url: Workers(connect(url)).remove("host:1"),
    "Rounds.record": lambda url: Rounds(connect(url)).record(RECONCILE),
    "Rounds.silent_s": lambda url: Rounds(connect(url)).silent_s(),
    "Workers.alive": lambda url: Workers(connect(url)).alive(),
    "JobList.page": lambda url: JobList(connect(url)).page(5),
    "Messenger.wake_workers": lambda url: Messenger(url).wake_workers(Queue.BULK),
    "Messenger.check": lambda url: Messenger(url).check(),
    "Messenger.message_count": lambda url: Messenger(url).message_count(Queue.BULK),
}


def public_methods(part: type) -> set[str]:
    return {f"{part.__name__}.{name}" for name, each in vars(part).items() if name[0] != "_" and callable(each)}


def test_every_public_method_is_in_calls() -> None:
    parts = (
        JobStore,
        JobList,
        ChunkStore,
        TrainingStore,
        Results,
        ServiceCode,
        Workers,
        Rounds,
        Messenger,
        Classifiers,
        TrainingSpeeds,
        KeyStore,
        Quotas,
        DeliveryStore,
        WebhookSecrets,
    )
    assert set(CALLS) == set().union(*map(public_methods, parts)) - {
        "Messenger.close",
        "Messenger.wake_for_items",  # raises nothing
    }


def is_unavailable(call: Callable[[str], object], url: str) -> None:
    with pytest.raises(Unavailable, match="Redis"):
        call(url)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_call_says_that_redis_is_not_running(call: Callable[[str], object]) -> None:
    is_unavailable(call, url_of(free_port()))


def url_of(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


@contextmanager
def redis_process(command: str, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Redis whose process can be stopped and killed, with its data in `folder`."""
    words = [command, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes"]
    server = subprocess.Popen([*words, "--save", ""], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(url_of(port)), "Redis answers")
        yield server
    finally:
        server.kill()
        server.wait()


def test_every_call_says_that_redis_hangs(tmp_path: Path) -> None:
    """Redis accepts connections and never answers, as if swapped out or cut off. All calls at once, since each waits.

    How long it waits is not measured here: the cores may be busy.
    """
    assert CONNECT_TIMEOUT_S + RESPONSE_TIMEOUT_S < IN_TIME_S
    port = free_port()
    with redis_process(redis_server_path(), tmp_path, port) as server, ThreadPoolExecutor(len(CALLS)) as pool:
        server.send_signal(signal.SIGSTOP)
        answered = {name: pool.submit(call, url_of(port)) for name, call in CALLS.items()}
        try:
            errors = {name: future.exception(PATIENCE_S) for name, future in answered.items()}
        finally:
            server.send_signal(signal.SIGCONT)
    assert {name: error for name, error in errors.items() if not isinstance(error, Unavailable)} == {}


def test_connections_recover_after_a_pause(redis_command: str, tmp_path: Path) -> None:
    port = free_port()
    with redis_process(redis_command, tmp_path, port) as server, closing(connect(url_of(port))) as client:
        kit = Kit(client)
        assert kit.chunks.claim("worker", RINGS) is None  # loads the script, which Redis runs when it continues
        job = kit.sealed_job(uploads(3))
        server.send_signal(signal.SIGSTOP)
        for call in (lambda: kit.chunks.claim("worker", RINGS), lambda: kit.store.get(job)):
            is_unavailable(lambda _, call=call: call(), "")
        server.send_signal(signal.SIGCONT)
        assert kit.store.get(job).counts.total == 3
        for lost in wait_until(lambda: lapse_all(kit), "the claim with the lost response is visible"):
            kit.chunks.release(lost)
        kit.work_off()
        assert kit.counted(job) == Counts(3, succeeded=3)


def lapse_all(kit: Kit) -> list[str]:
    """Expire the leases of all chunks and return their ids."""
    chunks = [name.rpartition(":")[2] for name in kit.redis.scan_iter("darkroom:chunk:*")]
    for chunk in chunks:
        kit.lapse(chunk)
    return kit.chunks.expired_leases(10)


def test_data_survive_a_kill_and_restart_of_redis(redis_command: str, tmp_path: Path) -> None:
    port = free_port()
    with closing(connect(url_of(port))) as client, closing(Messenger(url_of(port))) as messenger:
        check_restart(redis_command, tmp_path, port, Kit(client), messenger)


def check_restart(command: str, folder: Path, port: int, kit: Kit, messenger: Messenger) -> None:
    with redis_process(command, folder, port):
        done, running = kit.sealed_job(uploads(2)), kit.sealed_job(uploads(20))
        kit.finish(kit.claim())
        chunk = kit.claim()
        assert messenger.wake_workers(Queue.BULK) == 1
        before = kit.store.get(done), kit.results.finished(done, 5), kit.store.get(running)
        # Redis delays writes to the file by up to 2 s while an fsync is in progress.
        wait_until(lambda: not kit.redis.info("persistence")["aof_buffer_length"], "all writes are in the file")
    for call in (
        lambda: kit.store.get(done),
        lambda: messenger.wake_workers(Queue.BULK),
        lambda: kit.chunks.renew(chunk.id),
    ):
        is_unavailable(lambda _, call=call: call(), "")
    with redis_process(command, folder, port):
        assert (kit.store.get(done), kit.results.finished(done, 5), kit.store.get(running)) == before
        kit.finish(chunk)
        assert kit.counted(running) == Counts(20, succeeded=20)
        assert messenger.wake_workers(Queue.BULK) == 1
        assert messenger.message_count(Queue.BULK) == 2


def test_a_call_with_a_cut_connection_is_retried(each_redis, each_redis_url: str) -> None:
    """Redis has received the call and delays it; then the connection breaks."""
    store = JobStore(connect(f"{each_redis_url}?client_name=victim"))
    store.check()

    def victims(held: bool) -> list[str]:
        clients = [client for client in each_redis.client_list() if client["name"] == "victim"]
        return [client["id"] for client in clients if ("b" in client["flags"]) == held]

    with ThreadPoolExecutor(1) as pool:
        assert victims(held=False)
        each_redis.client_pause(60_000, all=False)
        call = pool.submit(store.create, JobKind.CLASSIFICATION, retention_s=1)
        (held,) = wait_until(lambda: victims(held=True), "the call is held back")
        each_redis.client_kill_filter(_id=held)
        each_redis.client_unpause()
        assert store.get(call.result()).counts == Counts()


def refusal(call: Callable[[], object]) -> str:
    """Return why a call is refused, or an empty text."""
    try:
        call()
    except Unavailable as error:
        return str(error)
    return ""


def test_new_items_are_refused_before_redis_is_full(each_redis) -> None:
    kit = Kit(each_redis)
    job = kit.open_job(uploads(3))
    chunk = kit.claim()
    used = each_redis.info("memory")["used_memory"]
    try:
        each_redis.config_set("maxmemory", round(used / 0.75))
        kit.store.add(job, uploads(1, "x"), 9)
        each_redis.config_set("maxmemory", round(used / 0.9))
        wait_until(lambda: refusal(kit.open_job), "new jobs are refused")
        for write in (kit.store.check_memory, kit.open_job):
            assert re.search(r"nearly full: \d+ of \d+ MiB are used", refusal(write))
        kit.finish(chunk)
        assert kit.counted(job) == Counts(4, succeeded=3)
    finally:
        each_redis.config_set("maxmemory", 0)


def test_memory_is_checked_between_the_batches_of_many_items(each_redis) -> None:
    kit = Kit(each_redis)
    job = kit.open_job(uploads(1))
    each_redis.setrange("ballast", 16 * 2**20, "x")
    used = each_redis.info("memory")["used_memory"]
    try:
        each_redis.config_set("maxmemory", round((used + 2**14) / MAX_MEMORY_SHARE))
        with pytest.raises(Unavailable, match="nearly full"):
            kit.store.add(job, uploads(SCRIPT_BATCH + 1, "x"), 2 * SCRIPT_BATCH)
        assert kit.counted(job).total == 1 + SCRIPT_BATCH
    finally:
        each_redis.config_set("maxmemory", 0)


def test_out_of_memory_refuses_writes_but_not_commits(redis_command: str, tmp_path: Path) -> None:
    port = free_port()
    with redis_process(redis_command, tmp_path, port), closing(connect(url_of(port))) as client:
        kit = Kit(client)
        job = kit.open_job(uploads(3))
        chunk = kit.claim()
        kit.redis.config_set("maxmemory", "1mb")
        with pytest.raises(Unavailable, match=r"out of memory.*OOM"):
            kit.store.set_metadata(job, 1)
        assert kit.store.get(job).counts == Counts(3)
        kit.finish(chunk)  # a commit is allowed: it frees memory
        assert kit.counted(job) == Counts(3, succeeded=3)
