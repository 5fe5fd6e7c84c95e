"""`darkroom join`: workers of another machine, with a Redis and an S3 that they share with the service."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cli.stack import join
from cli.stack.embedded_redis import free_port, redis_server_path
from shared.domain.classifier import Classifier
from shared.domain.entities import JobState
from shared.domain.errors import ConfigError
from shared.jobs.workers import Worker
from shared.redis import keys
from shared.redis.connection import CONNECT_TIMEOUT_S, RESPONSE_TIMEOUT_S, SCHEMA
from shared.services import Services
from shared.settings import Settings
from tests import programs
from tests.cli.kit import PROGRAM, darkroom, environment
from tests.conftest import ROOT, START_STOP_S, running_redis, wait_until
from tests.s3_kit import ACCESS, BUCKET, running_s3
from tests.worker.kit import pictures, stored

MIB = 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def s3() -> Iterator[None]:
    """Run an S3 with a bucket; its address is in the environment."""
    with running_s3() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in (ACCESS | {"AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Return the parts of a service, which has recorded its storage; none of its processes run."""
    folder = tmp_path_factory.mktemp("service")
    with running_redis(redis_server_path(), folder) as url:
        services = Services.build(Settings(redis_url=url, storage_url=f"s3://{BUCKET}/x", data_dir=folder))
        services.storage_identity.check()
        yield services
        services.close()


@pytest.fixture
def settings(service: Services, tmp_path: Path) -> Settings:
    """Return the right settings for another machine."""
    return service.settings.model_copy(update={"data_dir": tmp_path})


@contextmanager
def joined(service: Services, folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    options = ["--redis", str(service.settings.redis_url), "--storage", str(service.settings.storage_url)]
    process = subprocess.Popen(
        [*PROGRAM, "join", *options, *words],
        cwd=ROOT,
        env=environment("", folder, DARKROOM_DATA_DIR=str(folder)),
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(START_STOP_S)


def test_another_machine_joins_works_and_leaves(service: Services, tmp_path: Path) -> None:
    with joined(service, tmp_path, "--classify", "1", "--train") as process:
        assert process.stdout is not None
        address = str(service.settings.redis_url)
        assert process.stdout.readline() == f"Joining the service at {address}...\n"
        what = f"Joined as {socket.gethostname()}: 2 processes classify, 1 trains. Ctrl-C leaves."
        assert process.stdout.readline().startswith(what)
        assert sorted(worker.queues for worker in service.workers.alive()) == [
            ("interactive",), ("interactive", "bulk"), ("train",),
        ]  # fmt: skip
        job_id = stored(service, pictures(3))
        service.messenger.wake_for_items(service.store.queue_of(job_id), 3)
        job = wait_until(lambda: (found := service.store.get(job_id)).state.done and found, "the job has ended")
        assert (job.state, job.counts.succeeded) == (JobState.SUCCEEDED, 3)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "Leaving...\n"
    assert (process.returncode, service.workers.alive()) == (0, [])


def refusal(settings: Settings, **changed: object) -> str:
    """Return why the machine cannot join with these settings, in a line."""
    with pytest.raises(ConfigError) as refused:
        join.reach(settings.model_copy(update=changed))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_person_is_told_in_ten_seconds() -> None:
    """Given what each check may wait for, Then all together stay below: time is not measured, cores may be busy."""
    redis_s = CONNECT_TIMEOUT_S + RESPONSE_TIMEOUT_S
    assert redis_s + join.PATIENCE.stall_s + join.PATIENCE.retry_s < 10


def test_what_is_missing_is_named(settings: Settings) -> None:
    assert "--redis" in refusal(settings, redis_url=None)
    assert "cannot be joined" in refusal(settings, storage_url=None)


def test_a_redis_that_cannot_be_used(settings: Settings, tmp_path: Path) -> None:
    assert refusal(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0").startswith("DARKROOM_REDIS_URL: ")
    right = str(settings.redis_url)
    assert "DARKROOM_REDIS_URL: " in refusal(settings, redis_url=right.replace("://", "://nobody:wrong@"))
    with running_redis(redis_server_path(), tmp_path) as empty:
        assert "no service uses this Redis yet" in refusal(settings, redis_url=empty)
    with running_redis(redis_server_path(), tmp_path, None, "--rename-command", "UNLINK", "OTHER") as old:
        assert "does not know the command UNLINK: Darkroom needs Redis 7" in refusal(settings, redis_url=old)


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("s3://other/x", "the bucket of the storage does not exist"),
        (f"s3://{BUCKET}/y", "is not the storage that other"),
    ],
)
def test_another_storage(settings: Settings, storage: str, reason: str) -> None:
    assert reason in refusal(settings, storage_url=storage)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"AWS_ENDPOINT_URL": "minio:9000"}, "AWS_ENDPOINT_URL='minio:9000' is not like https://s3.example"),
        ({"AWS_ALLOW_HTTP": None}, "AWS_ALLOW_HTTP=true"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "Missing SecretAccessKey"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
    ids=lambda one: "-".join(one) if isinstance(one, dict) else "",
)
def test_variables_of_s3_that_are_wrong_or_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], reason: str
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{free_port()}")  # Amazon's machines have one
    for name, value in changed.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    assert reason in refusal(settings)


def test_a_storage_that_cannot_be_reached(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    assert refusal(settings) == "DARKROOM_STORAGE_URL: the storage failed at storage-id: it cannot be reached"


@pytest.mark.parametrize(("ahead", "way"), [(3600, "60 minutes ahead of"), (-3600, "60 minutes behind")])
def test_a_wrong_clock(settings: Settings, monkeypatch: pytest.MonkeyPatch, ahead: int, way: str) -> None:
    now = time.time
    monkeypatch.setattr(join.time, "time", lambda: now() + ahead)
    assert f"this machine's clock is {way} Redis's" in refusal(settings)


def test_a_full_disk(settings: Settings) -> None:
    with programs.small_disk(settings.data_dir, 100 * MIB):
        assert "the disk has 100 MiB left" in refusal(settings)


def told(settings: Settings) -> list[str]:
    """Return the warnings at the start, but those about Redis's configuration."""
    with closing(join.reach(settings)) as services:
        return [line for line in join.warnings(services) if not line.startswith("Redis has")]


def test_other_code_is_a_warning(service: Services, settings: Settings) -> None:
    (line,) = told(settings)
    assert "the service is older and does not say which" in line
    service.code.record()
    assert told(settings) == []
    service.redis.set(keys.CODE, json.dumps({"version": "9.0.0+ab", "schema": SCHEMA + 1}))
    (line,) = told(settings)
    assert "and the service 9.0.0+ab: until this machine is updated, it leaves Jobs of newer code" in line
    service.code.record()


def test_two_machines_of_one_name_are_a_warning(service: Services, settings: Settings) -> None:
    service.code.record()
    service.workers.record_heartbeat(Worker(f"{socket.gethostname()}:1:ab", ("train",), None))
    (line,) = told(settings)
    assert "if that is another one, rename this one" in line
    service.workers.remove(f"{socket.gethostname()}:1:ab")


def test_a_champion_that_is_nowhere_is_a_warning(service: Services, settings: Settings) -> None:
    mine = Classifier("mugs", "owner")
    service.classifiers.add(mine)
    service.classifiers.promote(mine, "head-20260101-00000000", None, None)
    service.classifiers.record_use(mine)
    with closing(join.reach(settings)) as services:
        (line,) = join.missing_models(services)
    assert line.endswith("Jobs of the classifier mugs are left to other machines")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--classify", "0"], "nothing to do"),
        (["--redis", "unix:///x", "--storage", "s3://b/x"], "DARKROOM_REDIS_URL"),
        (["--redis", "redis://h/0", "--storage", "ftp://x"], "'ftp://x': is not like s3://bucket/prefix"),
    ],
)
def test_options_that_cannot_be_meant(tmp_path: Path, words: list[str], error: str) -> None:
    done = darkroom("", tmp_path, "join", *words)
    assert done.returncode != 0
    assert error in done.stderr and "Traceback" not in done.stderr
