"""`rediss://` with a real server: both connections verify its certificate, unless the URL says otherwise."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from cli.stack.embedded_redis import free_port
from shared.domain.entities import Queue
from shared.domain.errors import ConfigError, Unavailable
from shared.jobs.messenger import Messenger, celery_app
from shared.jobs.store import JobStore
from shared.redis.connection import connect
from shared.settings import load_settings
from shared.startup import check_redis
from tests.certificates import authority, certificate
from tests.conftest import wait_until
from tests.programs import need

#: Options for a server that only knows the first authority; `{folder}` has the files.
UNTRUSTED = ["", "?ssl_ca_certs={folder}/other.pem"]
TRUSTED = [
    "?ssl_ca_certs={folder}/ca.pem",
    "?ssl_cert_reqs=none",
    "?ssl_ca_certs={folder}/other.pem&ssl_cert_reqs=none",
]


def shown(folder: Path, name: str, subject: str) -> list[str]:
    """Make a certificate for `subject`; return the options of a server that shows it."""
    certificate(folder, name, subject)
    files = {"cert": f"{name}.pem", "key": f"{name}.key", "ca-cert": "ca.pem"}
    return [word for option, file in files.items() for word in (f"--tls-{option}-file", str(folder / file))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("openssl")
    folder = tmp_path_factory.mktemp("tls")
    authority(folder, "ca")
    authority(folder, "other")
    return folder


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Callable[[str], str]]:
    """Return a function that gives the address of a server with a certificate for a subject."""
    need("redis-server")
    started: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}

    def address(subject: str) -> str:
        if subject not in started:
            port = free_port()
            words = ["redis-server", "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", "--save", ""]
            options = shown(folder, f"server{len(started)}", subject)
            process = subprocess.Popen([*words, *options], cwd=folder, stdout=subprocess.DEVNULL)
            started[subject] = f"rediss://127.0.0.1:{port}/0", process
            wait_until(lambda: answers(f"{started[subject][0]}?ssl_cert_reqs=none"), "Redis answers")
        return started[subject][0]

    yield address
    for _, process in started.values():
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    client = connect(url)
    try:
        JobStore(client).ping()
    except Unavailable:
        return False
    finally:
        client.close()
    return True


def connects(app: Celery) -> bool:
    """Tell whether Celery's own connection can be made."""
    with app, app.connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=5)
        except OperationalError as error:
            assert "CERTIFICATE_VERIFY_FAILED" in str(error)
            return False
        return True


@pytest.mark.parametrize("options", TRUSTED)
def test_a_trusted_server(folder: Path, servers: Callable[[str], str], options: str) -> None:
    url = servers("IP:127.0.0.1") + options.format(folder=folder)
    settings = load_settings({"DARKROOM_REDIS_URL": url})
    check_redis(settings)
    assert connects(celery_app(settings.resolved_broker_url()))
    messenger = Messenger(settings.resolved_broker_url())
    assert messenger.wake_workers(Queue.BULK) == 1
    messenger.close()


@pytest.mark.parametrize("options", UNTRUSTED)
def test_a_server_that_is_not_trusted_gets_no_password(
    folder: Path, servers: Callable[[str], str], options: str
) -> None:
    url = servers("IP:127.0.0.1") + options.format(folder=folder)
    settings = load_settings({"DARKROOM_REDIS_URL": url})
    with pytest.raises(ConfigError, match="certificate that is not trusted"):
        check_redis(settings)
    assert not answers(url)
    assert not connects(celery_app(settings.resolved_broker_url()))


def test_a_server_without_tls(each_redis_url: str) -> None:
    with pytest.raises(ConfigError, match="write redis:// and not rediss://"):
        check_redis(load_settings({"DARKROOM_REDIS_URL": each_redis_url.replace("redis://", "rediss://")}))


def test_a_certificate_for_another_host(folder: Path, servers: Callable[[str], str]) -> None:
    """Given a right authority and a wrong name, the server is not trusted, unless the name is not checked."""
    url = f"{servers('DNS:other.example')}?ssl_ca_certs={folder}/ca.pem"
    for more, trusted in (("", False), ("&ssl_check_hostname=false", True)):
        assert answers(url + more) is trusted
        assert connects(celery_app(url + more)) is trusted
