"""The webhook sender against real receivers, most of which misbehave."""

from __future__ import annotations

import datetime
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from email.utils import format_datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

from shared.domain.entities import Failure, JobKind
from shared.jobs.deliveries import Delivery, DeliveryState
from shared.jobs.rounds import DELIVER
from shared.redis import keys
from shared.redis.connection import now_ms
from shared.services import Services
from shared.webhooks.addresses import AllowList
from shared.webhooks.resolver import Lookup, Resolver, system_lookup
from shared.webhooks.target import parse
from tests.conftest import ROOT, START_STOP_S, wait_until
from tests.receiver import Call, Receiver, away, babble, die, drip, flood, hang, receiving
from worker.webhooks.deliver import JITTER, MAX_RETRY_AFTER_S, PER_RECEIVER, SCHEDULE_S, WebhookSender, retry_after_s
from worker.webhooks.webhook_client import WebhookClient

#: The receivers of these tests, and no other address of this machine.
HERE = AllowList.parse("127.0.0.1")
#: Timeout of attempts at a receiver that hangs.
SHORT_S = 1.0
AT_ONCE = (0.0,) * 10
PUBLIC = "93.184.215.14"
NAMED = "receiver.example"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def ended_job(services: Services, url: str) -> str:
    """Create a finished job with this webhook."""
    job_id = services.store.create(JobKind.CLASSIFICATION, retention_s=3600, model="net-1", webhook=parse(url))
    services.store.cancel(job_id)
    return job_id


def sender(services: Services, schedule_s=AT_ONCE, *, lookup: Lookup = system_lookup, **poster) -> WebhookSender:
    posts = WebhookClient(Resolver(HERE, lookup), **poster)
    return WebhookSender(services.deliveries, services.webhook_secrets, posts, schedule_s)


@contextmanager
def running(sender: WebhookSender) -> Iterator[None]:
    stopping = threading.Event()
    thread = threading.Thread(target=sender.run, args=(stopping,))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def send_once(services: Services, sender: WebhookSender) -> None:
    due = services.deliveries.claim()
    assert due is not None
    sender.send(due)


def delivery_of(services: Services, job_id: str) -> Delivery:
    (delivery,) = services.deliveries.of_job(services.store.get(job_id))
    return delivery


def state(services: Services, job_id: str, wanted: DeliveryState) -> Callable[[], bool]:
    return lambda: delivery_of(services, job_id).state is wanted


def codes(delivery: Delivery) -> list[str | None]:
    return [attempt.failure.code if attempt.failure else None for attempt in delivery.attempts]


def verified(services: Services, call: Call) -> dict:
    """Verify the signature of a call as a receiver does, and return the event."""
    return Webhook(services.webhook_secrets.get("local").current).verify(call.body, call.headers)


def test_a_delivery_is_retried_after_every_kind_of_failure(services: Services, receiver: Receiver) -> None:
    receiver.manners = [500, die, hang, drip, away, flood, babble, 204]
    job_id = ended_job(services, f"{receiver.url}?key=1")
    with running(sender(services, total_s=SHORT_S)):
        wait_until(state(services, job_id, DeliveryState.DELIVERED), "it is delivered")
    delivery = delivery_of(services, job_id)
    expected = ["status", "broken_off", "timeout", "timeout", "redirect", "too_long", "broken_off", None]
    assert codes(delivery) == expected
    assert [attempt.status for attempt in delivery.attempts] == [500, None, None, None, 307, None, None, 204]
    assert "nonsense" not in str(delivery.attempts), "the response is not disclosed"
    assert all(attempt.duration_s < 5 * SHORT_S for attempt in delivery.attempts)
    assert {call.path for call in receiver.calls} == {"/hook?key=1"}, "redirects are not followed"
    assert {call.id for call in receiver.calls} == {delivery.id} and len(receiver.calls) == 8
    assert len({call.body for call in receiver.calls}) == 1
    events = [verified(services, call) for call in receiver.calls]
    job = services.store.get(job_id)
    assert events[0]["type"] == "job.cancelled" and events[0]["timestamp"] == events[0]["data"]["finished_at"]
    assert events[0]["data"]["id"] == job.id and events[0]["data"]["links"]["self"] == f"/v1/jobs/{job.id}"
    assert receiver.calls[0].headers["content-type"] == "application/json"
    assert receiver.calls[0].headers["host"] == f"127.0.0.1:{receiver.port}"


def test_410_fails_the_delivery_at_once(services: Services, receiver: Receiver) -> None:
    receiver.manners = [410]
    job_id = ended_job(services, receiver.url)
    send_once(services, sender(services))
    delivery = delivery_of(services, job_id)
    assert (delivery.state, codes(delivery), delivery.next_attempt_at) == (DeliveryState.FAILED, ["gone"], None)
    assert services.deliveries.claim() is None
    services.deliveries.redeliver(delivery.id)
    send_once(services, sender(services))
    assert [call.id for call in receiver.calls] == [delivery.id] * 2
    assert delivery_of(services, job_id).state is DeliveryState.DELIVERED


def test_a_delivery_fails_after_the_last_retry(services: Services, receiver: Receiver) -> None:
    receiver.manners = [503] * 3
    job_id = ended_job(services, receiver.url)
    with running(sender(services, (0, 0))):
        wait_until(state(services, job_id, DeliveryState.FAILED), "it has failed")
    assert codes(delivery_of(services, job_id)) == ["status"] * 3 and services.deliveries.claim() is None


def test_retries_honour_the_schedule_and_retry_after(services: Services, receiver: Receiver) -> None:
    assert sum(SCHEDULE_S) > 24 * 3600 and list(SCHEDULE_S) == sorted(SCHEDULE_S)
    later = format_datetime(datetime.datetime.now(UTC) + datetime.timedelta(hours=2), usegmt=True)
    for asked, least, most in (
        (None, 100, 100 * (1 + JITTER)),
        ("3", 100, 100 * (1 + JITTER)),
        ("1000", 1000, 1000),
        (later, 7100, 7200),
        ("999999999999", MAX_RETRY_AFTER_S, MAX_RETRY_AFTER_S),
    ):
        headers = {"Retry_After": asked} if asked else {}
        receiver.manners = [lambda handler, headers=headers: handler.answer(429, **headers)]
        job_id = ended_job(services, receiver.url)
        send_once(services, sender(services, (100, 200)))
        wait_s = delivery_of(services, job_id).next_attempt_at - now_ms(services.redis) / 1000
        assert least - 5 <= wait_s <= most, asked
    assert [retry_after_s(text) for text in (None, "", "soon", "-5", "9" * 5000, "1.5")] == [0] * 6


def test_a_hanging_receiver_does_not_delay_others(services: Services, receiver: Receiver) -> None:
    """Given 40 deliveries to a hanging receiver, When another receiver's is due, Then it is sent at once."""
    with receiving() as dead:
        dead.manners = [hang] * 100
        for _ in range(40):
            ended_job(services, dead.url)
        with running(sender(services)):
            wait_until(lambda: len(dead.calls) == PER_RECEIVER, "it occupies its share of the threads")
            job_id = ended_job(services, receiver.url)
            wait_until(state(services, job_id, DeliveryState.DELIVERED), "the other receiver has it")
            assert len(dead.calls) < 40, "it did not wait behind the others"
            dead.over.set()


def test_dns_rebinding_is_prevented(services: Services, receiver: Receiver) -> None:
    """Given a name that was public when it was checked, When it is called, Then its current address is checked."""
    answers = [[PUBLIC], ["127.0.0.2"], [PUBLIC, "10.0.0.1"]]
    resolver = Resolver(HERE, lambda _host, _port: answers.pop(0))
    assert resolver.addresses(NAMED, 80, 1) == [PUBLIC]
    job_id = ended_job(services, f"http://{NAMED}:{receiver.port}/hook")
    changing = WebhookSender(services.deliveries, services.webhook_secrets, WebhookClient(resolver), AT_ONCE)
    for _ in range(2):
        send_once(services, changing)
    assert codes(delivery_of(services, job_id)) == ["forbidden_address"] * 2
    assert receiver.calls == [] and answers == []


def test_a_name_is_resolved_once_per_attempt(
    services: Services, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxy variables are ignored, and a second address is tried if the first refuses the connection."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    answers = [["127.0.0.1"], ["127.0.0.2"]]
    job_id = ended_job(services, f"http://{NAMED}:{receiver.port}/hook")
    send_once(services, sender(services, lookup=lambda _host, _port: answers.pop(0)))
    assert codes(delivery_of(services, job_id)) == [None] and answers == [["127.0.0.2"]]
    assert receiver.calls[0].headers["host"] == f"{NAMED}:{receiver.port}"
    everywhere = WebhookClient(
        Resolver(AllowList.parse("127.0.0.0/8"), lambda _host, _port: ["127.0.0.3", "127.0.0.1"])
    )
    assert everywhere.post(parse(f"http://{NAMED}:{receiver.port}/"), {}, b"").status == 204


def test_an_unexpected_error_is_a_failed_attempt(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    """Given a stored URL that today's rules reject, Then its attempt fails with code `internal`."""
    odd = replace(parse("http://127.0.0.1/hook"), url="gopher://127.0.0.1/hook")
    job_id = services.store.create(JobKind.CLASSIFICATION, retention_s=60, webhook=odd)
    services.store.cancel(job_id)
    send_once(services, sender(services, (60,)))
    assert codes(delivery_of(services, job_id)) == ["internal"] and "must begin with https" in caplog.text
    assert services.deliveries.claim() is None


def test_connection_and_dns_failures_have_codes(services: Services) -> None:
    jobs = [ended_job(services, f"http://{host}/hook") for host in ("127.0.0.1:1", "no-such-host.invalid")]
    found = sender(services, (60,))
    for _ in jobs:
        send_once(services, found)
    assert [codes(delivery_of(services, job_id)) for job_id in jobs] == [["unreachable"], ["unresolved"]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for the receiver's name, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAMED)])
    now = datetime.datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAMED)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    content = key.private_bytes(encoding, form, serialization.NoEncryption()) + made.public_bytes(encoding)
    path.write_bytes(content)
    return path


def test_tls_certificates_are_checked_against_the_name(services: Services, certificate: Path) -> None:
    listens, trusts = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=str(certificate))
    listens.load_cert_chain(certificate)
    asked: list[str | None] = []
    listens.sni_callback = lambda _socket, name, _context: asked.append(name)
    with receiving(listens) as receiver:
        urls = [f"https://{name}:{receiver.port}/hook" for name in (NAMED, NAMED, "other.example")]
        jobs = []
        for url, tls in zip(urls, (trusts, None, trusts), strict=True):
            jobs.append(ended_job(services, url))
            send_once(services, sender(services, (60,), lookup=lambda _host, _port: ["127.0.0.1"], tls=tls))
        assert [codes(delivery_of(services, job_id)) for job_id in jobs] == [[None], ["tls"], ["tls"]]
        assert asked == [NAMED, NAMED, "other.example"] and len(receiver.calls) == 1


def start(services: Services) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DARKROOM_")} | {
        "DARKROOM_REDIS_URL": services.settings.resolved_redis_url(),
        "DARKROOM_WEBHOOK_ALLOW": "127.0.0.1",
    }
    return subprocess.Popen([sys.executable, "-m", "worker.webhooks"], cwd=ROOT, env=environment)


def test_a_killed_sender_is_replaced_by_another(services: Services, receiver: Receiver) -> None:
    """Given a receiver that has read a delivery, When its sender is killed, Then another repeats it, same id."""
    receiver.manners = [hang]
    job_id = ended_job(services, receiver.url)
    first = start(services)
    wait_until(lambda: receiver.calls, "the receiver is called")
    first.kill()
    first.wait()
    assert services.deliveries.claim() is None, "its lease holds"
    second = start(services)
    try:
        for name, member in ((keys.deliveries(f"127.0.0.1:{receiver.port}"), f"{job_id}-1"), (keys.RECEIVERS, None)):
            who = member or f"127.0.0.1:{receiver.port}"
            services.redis.zadd(name, {who: now_ms(services.redis) - 1}, xx=True)
        wait_until(state(services, job_id, DeliveryState.DELIVERED), "it is delivered")
        assert services.rounds.silent_s()[DELIVER] < START_STOP_S
        sizes = Path(f"/proc/{second.pid}/status")
        if sizes.exists():
            (resident,) = [line for line in sizes.read_text().splitlines() if line.startswith("VmRSS")]
            assert int(resident.split()[1]) < 64 * 1024, "KiB: it loads neither Celery nor TensorFlow"
        second.send_signal(signal.SIGTERM)
        assert second.wait(START_STOP_S) == 0
    finally:
        second.kill()
        second.wait()
    assert [call.id for call in receiver.calls] == [f"{job_id}-1"] * 2
    assert receiver.calls[0].body == receiver.calls[1].body and verified(services, receiver.calls[1])


def test_a_failed_job_is_delivered_with_its_reason(services: Services, receiver: Receiver) -> None:
    """Given a job that failed, Then the message says why."""
    job_id = services.store.create(JobKind.TRAINING, retention_s=3600, listed=False, webhook=parse(receiver.url))
    services.store.seal(job_id)
    training = services.trainings.claim("worker")
    assert training is not None and services.trainings.fail(training, Failure("no_data", "There is no data."))
    send_once(services, sender(services))
    event = verified(services, receiver.calls[0])
    assert (event["type"], event["data"]["kind"]) == ("job.failed", "training")
    assert event["data"]["error"] == {"code": "no_data", "detail": "There is no data."}
