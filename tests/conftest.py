"""The real parts that tests run against: Redis servers, blob stores, and the whole service."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import hypothesis
import pytest
import redis
from hypothesis import strategies as st
from xdist.scheduler import LoadFileScheduling

from cli.stack.embedded_redis import free_port, redis_server_path
from shared.redis.connection import Client, connect
from shared.services import Services
from shared.settings import PREFIX, Settings
from tests import hostile, programs, quick
from tests.fixtures import make

ROOT = Path(__file__).resolve().parent.parent
#: Modules that run in one process: browser tests that need models which the service has trained, and tests of the
#: service with API keys.
TOGETHER = (
    {
        "test_accessibility",
        "test_page_model",
        "test_page_models",
        "test_page_train",
        "test_page_training",
    },
    {"test_keys", "test_page_sign_in", "test_proxies", "test_request_limits"},
    {"test_disk_full", "test_storage"},
    {"test_connection", "test_service_without_redis"},
)
#: Modules that take more than half a minute. They run first, so that no process is left with one at the end: those that
#: mostly wait for leases and timeouts between those that need the processor.
LONGEST = (
    "test_faults",
    "test_failover",
    "test_page_models",
    "test_page_datasets",
    "test_training",
    "test_train",
    "test_pictures",
    "test_publish",
    "test_connection",
    "test_import_model",
    "test_refused_models",
    "test_schema",
    "test_page_resume",
    "test_clock",
    "test_up",
    "test_storage",
    "test_supervisor",
    "test_presets",
    "test_chunk_machine",
    "test_promotion",
    "test_scale",
    "test_blobs",
)
#: Folders whose tests use the fixture `service` or `keyed_service`.
SERVICE_FOLDERS = ("tests/browser/", "tests/cli/", "tests/contract/", "tests/integration/")
IN_CI = os.environ.get("CI") == "true"
# No deadline for one example: the cores may be busy.
hypothesis.settings.register_profile("whole", deadline=None, max_examples=50 if IN_CI else 100)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=10)
#: Seconds for something that takes well under one on an idle machine. The cores may be busy.
PATIENCE_S = 300
#: Seconds between two looks whether something has happened: the first two, and those after a while.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.05, 0.25
#: Seconds for a process to stop, for a service to start, for a command of its command line, and for a job. A training
#: gives way to all other programs: beside ten that compute, it gets a fiftieth of two cores.
START_STOP_S = 900
#: Bytes of what `darkroom up` prints that are read.
MAX_OUTPUT = 1024 * 1024
#: For HTTP clients: no test uses TLS, and loading the certificates takes 25 ms per client.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# A shell's background processes ignore SIGINT, and so would every process that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out what needs the service, a browser or TensorFlow")


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all modules are imported, which is a tenth faster then
    hypothesis.settings.load_profile("quick" if config.option.quick else "whole")
    if config.option.quick:
        quick.begin()


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Do once in a new clone what each process would do: compile modules, make Hypothesis's tables of characters."""
    st.text().validate()
    if config.option.quick or sys.dont_write_bytecode:
        return
    keras = importlib.util.find_spec("keras")  # does not import it
    if keras and keras.cached and not Path(keras.cached).exists():
        words = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-n0"]
        subprocess.run(words, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # an error is reported by the processes


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out whole folders in the quick run; None lets pytest decide."""
    return True if config.option.quick and quick.leaves_out(collection_path) else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.option.quick:
        quick.end()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of `redis_command` on the embedded Valkey and on Redis; in the quick run only on Valkey."""
    if "redis_command" in metafunc.fixturenames:
        commands = [redis_server_path(), *([] if metafunc.config.option.quick else ["redis-server"])]
        names = [Path(command).name for command in commands]
        metafunc.parametrize("redis_command", commands, ids=names, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Fail each skipped test in CI, where everything must run."""
    report = yield
    if IN_CI and report.skipped and not item.config.option.quick:
        report.outcome, report.longrepr = "failed", f"skipped, which CI does not allow: {report.longrepr[2]}"
    return report


def pytest_collection_finish() -> None:
    """Exclude imported modules from later garbage collections, which are quick then."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the last test of a module, and not a later module, for resources that are still open."""
    yield
    gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Leave out what the quick run does not need; begin with the longest modules."""
    if config.option.quick:
        left_out = [item for item in items if quick.needs_service(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]
    items.sort(key=lambda item: order(item.path.stem))


def order(module: str) -> tuple[int, int]:
    """Return where a module comes: the longest first, and those of TOGETHER one after the other."""
    group = next((number for number, names in enumerate(TOGETHER) if module in names), len(TOGETHER))
    names = TOGETHER[group] if group < len(TOGETHER) else {module}
    return min((place for place, name in enumerate(LONGEST) if name in names), default=len(LONGEST)), group


class ByFile(LoadFileScheduling):
    """Run each module, and each set of TOGETHER, in one process; what uses the service in every second process.

    A service costs 7 s to start, and up to a tenth of a core afterwards.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = str(super()._split_scope(nodeid))
        return next((str(number) for number, names in enumerate(TOGETHER) if Path(module).stem in names), module)

    def _assign_work_unit(self, node) -> None:
        """Give the process the first module of its kind in the queue, or the first one if none of its kind is left."""
        has_service = int(node.gateway.id.removeprefix("gw")) % 2 == 0
        scopes = (scope for scope, tests in self.workqueue.items() if uses_service(next(iter(tests))) == has_service)
        if (scope := next(scopes, None)) is not None:
            self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


def uses_service(nodeid: str) -> bool:
    """Tell by its folder whether a test may use the service that the tests of a process share."""
    return nodeid.startswith(SERVICE_FOLDERS)


def pytest_xdist_make_scheduler(config, log) -> ByFile:
    return ByFile(config, log)


def wait_until(condition, what: str, seconds: float = PATIENCE_S, every: float | None = None):
    """Return the condition's first true value; fail the test after `seconds` without one.

    Look every `every` seconds. By default look more and more rarely: each look takes processor time from what the test
    waits for.
    """
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_S if every is None else every
    while not (value := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {seconds} s")
        time.sleep(pause)
        if every is None:
            pause = min(LAST_PAUSE_S, pause * 1.1)
    return value


@contextmanager
def running_redis(command: str, folder: Path, port: int | None = None, *options: str) -> Iterator[str]:
    """Run a Redis server with an append-only file in `folder`, and more options; yield its URL."""
    port = port or free_port()
    words = [command, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes"]
    server = subprocess.Popen([*words, "--save", "", *options], stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        wait_until(lambda: answers(url), "Redis answers")
        yield url
    finally:
        server.kill()
        server.wait()


def answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture(scope="session")
def redis_command(request) -> str:
    """Return the program of each kind of Redis server in turn."""
    if request.param == "redis-server":
        programs.need("redis-server")
    return request.param


@pytest.fixture(scope="session")
def each_redis_url(redis_command, tmp_path_factory) -> Iterator[str]:
    """Return the URL of each kind of Redis server in turn."""
    with running_redis(redis_command, tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def each_redis(each_redis_url) -> Iterator[Client]:
    """Return a client of an empty database on each kind of Redis server in turn."""
    client = connect(each_redis_url)
    client.flushall()
    yield client
    client.close()


@dataclass
class Service:
    """A running Darkroom: its address, its data folder and its main process."""

    url: str
    data_dir: Path
    process: subprocess.Popen[str]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, trust_env=False, verify=NO_TLS)

    def log(self) -> str:
        return "\n".join(path.read_text() for path in sorted((self.data_dir / "run" / "log").glob("*.log")))


@contextmanager
def running_service(data_dir: Path, *, app: str | None = None, **settings: str) -> Iterator[Service]:
    """Run `darkroom up` on a free port; stop it with SIGINT.

    `app` replaces the Celery app of its workers.
    """
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environment |= hostile.environment(data_dir.parent / f"{data_dir.name}-home")
    environment |= {"DARKROOM_PORT": str(port), "DARKROOM_DATA_DIR": str(data_dir)}
    environment["DARKROOM_CLASSIFY_WORKERS"] = "1"  # a second one adds a second of processor time to each start
    environment["DARKROOM_WEBHOOK_ALLOW"] = "127.0.0.1"  # the webhook receivers of the tests
    environment |= {PREFIX + name.upper(): value for name, value in settings.items()}
    with tempfile.TemporaryFile("w+") as output:
        words = ["tests.faults.up", app] if app else ["cli", "up"]
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment, stdout=output, stderr=output, text=True
        )
        service = Service(f"http://127.0.0.1:{port}", data_dir, process)
        try:
            wait_until(lambda: is_ready(service, output), "the service is ready", START_STOP_S, every=0.1)
            yield service
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(START_STOP_S)


def is_ready(service: Service, output: IO[str]) -> bool:
    """Tell whether `darkroom up`, which polls the service, has said that it is ready. Two pollers would cost twice."""
    printed = os.pread(output.fileno(), MAX_OUTPUT, 0).decode()  # which does not move the place where it writes
    if service.process.poll() is not None:
        pytest.fail(f"the service ended by itself:\n{printed}\n{service.log()}")
    return "Darkroom is ready" in printed


@pytest.fixture
def services(tmp_path) -> Iterator[Services]:
    """Return the parts of a program, with a Redis and a data folder of their own."""
    with running_redis(redis_server_path(), tmp_path) as url:
        services = Services.build(Settings(redis_url=url, data_dir=tmp_path))
        yield services
        services.close()


@pytest.fixture(scope="session")
def small_cifar10(tmp_path_factory) -> Path:
    """Return a dataset file in CIFAR-10's format that trains in seconds; for DARKROOM_CIFAR10."""
    return make.small_cifar10(tmp_path_factory.mktemp("cifar10") / "small.npz")


@pytest.fixture(scope="session")
def service(tmp_path_factory, small_cifar10) -> Iterator[Service]:
    """Return a running service that trains on a small dataset. Tests leave its champion and settings as they were."""
    with running_service(tmp_path_factory.mktemp("service"), cifar10=str(small_cifar10)) as running:
        yield running


@pytest.fixture(scope="session")
def keyed_service(tmp_path_factory) -> Iterator[Service]:
    """Return a running service that requires API keys."""
    from tests.keys_kit import SETTINGS

    with running_service(tmp_path_factory.mktemp("keyed"), **SETTINGS) as running:
        yield running


@pytest.fixture
def http(service) -> Iterator[httpx.Client]:
    """Return a client of the running service."""
    with service.client() as client:
        yield client
