"""`darkroom join`: workers on this machine for a service that runs on another one."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from cli.stack.data_folder import lock
from cli.stack.programs import Command, classify_workers, train_worker
from cli.stack.supervision import StopRequested, catch_signals, run_folder, start, stop
from shared.code import difference, own_code
from shared.domain.classifier import CIFAR10, EVERYDAY
from shared.domain.errors import ConfigError, NotFound, StorageFull, Unavailable
from shared.jobs.workers import STORAGE, Worker
from shared.redis.configuration import shortcomings
from shared.services import Services
from shared.settings import Settings
from shared.startup import check_redis
from shared.storage.blobs import RESERVE_BYTES, Patience

#: Seconds until the start fails: a champion may have to be fetched first.
READY_TIMEOUT_S = 180
POLL_S = 0.2
#: How long the checks wait for a storage that does not answer.
PATIENCE = Patience(stall_s=3, retry_s=2)
#: Seconds by which this machine's clock may differ from Redis's: S3 refuses requests that are 15 minutes off.
CLOCK_S = 600


@dataclass(frozen=True)
class Part:
    """What this machine takes over. `processes` is the number of worker processes."""

    commands: dict[str, Command]
    processes: int

    @classmethod
    def of(cls, settings: Settings, *, classify: bool, train: bool) -> Part:
        """Return the part of a machine that classifies, trains, or both."""
        classifying = classify_workers(settings) if classify else {}
        training = train_worker() if train else {}
        processes = (settings.classify_workers + 1) * classify + train
        return cls({**classifying, **training}, processes)


def run(settings: Settings, *, classify: bool, train: bool) -> int:
    """Run the workers until SIGTERM or Ctrl-C and return the exit status. Raise ConfigError if they could not work."""
    settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    catch_signals()
    try:
        with lock(settings), closing(reach(settings)) as services:
            for warning in warnings(services):
                click.echo(f"Warning: {warning}", err=True)
            return _work(services, Part.of(settings, classify=classify, train=train))
    except StopRequested:
        return 0


def reach(settings: Settings) -> Services:
    """Return the service's parts. Raise ConfigError, in one line, if workers with these settings could not work."""
    if settings.redis_url is None:
        raise ConfigError("DARKROOM_REDIS_URL or --redis: the address of the service's Redis is missing")
    if settings.storage_url is None:
        raise ConfigError(
            "DARKROOM_STORAGE_URL or --storage: the service's storage is missing. Machines share pictures in a storage "
            "such as s3://bucket/prefix; a service with pictures in its own folder cannot be joined"
        )
    check_redis(settings)
    services = Services.build(settings, PATIENCE)
    try:
        _check_service(services)
    except (Unavailable, StorageFull) as error:
        raise ConfigError(f"DARKROOM_STORAGE_URL: {error}") from error
    _check_clock(services)
    free = services.disk.state().free
    if free < RESERVE_BYTES:
        raise ConfigError(
            f"DARKROOM_DATA_DIR: the disk has {free // 2**20} MiB left; models need {RESERVE_BYTES // 2**20} MiB"
        )
    return services


def warnings(services: Services) -> Iterator[str]:
    """Yield a line for each thing that a person should know, though the workers can work."""
    if differs := difference(own_code(), services.code.get()):
        yield differs
    if any(worker.host == socket.gethostname() for worker in services.workers.alive()):
        yield (
            f"workers of a machine named {socket.gethostname()} work for this service already: if that is another one, "
            "rename this one, or /system lists both as one"
        )
    yield from shortcomings(services.redis)
    yield from missing_models(services)


def missing_models(services: Services) -> Iterator[str]:
    """Yield a line for each Classifier in use whose champion is neither here nor in the storage."""
    for classifier in dict.fromkeys([CIFAR10, EVERYDAY, *services.classifiers.in_use()]):
        try:
            services.registry.card(services.registry.alias(classifier).version)
        except NotFound as error:
            yield f"{error}. Jobs of the classifier {classifier.name} are left to other machines"


def _check_service(services: Services) -> None:
    if not services.storage_identity.is_recorded():
        raise ConfigError("DARKROOM_REDIS_URL: no service uses this Redis yet; start one with `./darkroom up` first")
    services.storage_identity.check()


def _check_clock(services: Services) -> None:
    ahead = time.time() - services.redis.time()[0]
    if abs(ahead) > CLOCK_S:
        way = "ahead of" if ahead > 0 else "behind"
        raise ConfigError(f"this machine's clock is {abs(ahead) / 60:.0f} minutes {way} Redis's: set it right first")


def _work(services: Services, part: Part) -> int:
    settings, logs = services.settings, run_folder(services.settings) / "log"
    before = {worker.name for worker in services.workers.alive()}
    supervisor = start(part.commands, None, settings, settings.resolved_redis_url())
    try:
        click.echo(f"Joining the service at {_address(settings.resolved_redis_url())}...")
        joined = _wait(services, supervisor, before, part.processes)
        if len(joined) < part.processes:
            click.echo(f"{len(joined)} of {part.processes} worker processes have joined. Logs: {logs}", err=True)
            return 1
        click.echo(f"Joined as {socket.gethostname()}: {_what(joined)}. Ctrl-C leaves. Logs: {logs}")
        supervisor.wait()
    except StopRequested:
        click.echo("Leaving...")
        return 0
    finally:
        stop(supervisor)
    click.echo(f"The supervisor exited unexpectedly. Logs: {logs}", err=True)
    return 1


def _wait(services: Services, supervisor: subprocess.Popen[bytes], before: set[str], count: int) -> list[Worker]:
    """Return this machine's new workers as soon as there are `count`, or those that there are after READY_TIMEOUT_S."""
    deadline, joined = time.monotonic() + READY_TIMEOUT_S, list[Worker]()
    while len(joined) < count and time.monotonic() < deadline and supervisor.poll() is None:
        time.sleep(POLL_S)
        with suppress(Unavailable):  # Redis may be busy for a moment, and the workers wait for it too
            here = [worker for worker in services.workers.alive() if worker.host == socket.gethostname()]
            joined = [worker for worker in here if worker.name not in before and worker.has(STORAGE)]
    return joined


def _what(workers: list[Worker]) -> str:
    """Return what the workers do, as in `3 processes classify, 1 trains`."""
    train = sum("train" in worker.queues for worker in workers)
    classify = len(workers) - train
    parts = [f"{classify} process{'es classify' if classify > 1 else ' classifies'}"] if classify else []
    return ", ".join([*parts, f"{train} trains"] if train else parts)


def _address(url: str) -> str:
    """Return a Redis URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
