"""Checks of the person's own Redis before anything starts, against real servers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from redis import Redis

from cli.stack.embedded_redis import free_port, redis_server_path
from shared.domain.errors import ConfigError
from shared.redis.configuration import missing, shortcomings
from shared.redis.connection import SCRIPTS
from shared.redis.probe import BROKER_CALLS, JOB_STORE_CALLS, KEYS, NOTICES
from shared.settings import Settings
from shared.startup import StillLoading, check_redis
from tests.conftest import ROOT, running_redis

CALL = re.compile(r"redis\.p?call\('([A-Z]+)'")
TRANSACTION = {"MULTI", "EXEC", "WATCH", "EXPIRE", "DEL", "UNLINK"}
NAMES = sorted({call[0] for call in (*BROKER_CALLS, *JOB_STORE_CALLS)} | TRANSACTION)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_redis(redis_server_path(), tmp_path_factory.mktemp("own")) as url:
        yield url


@pytest.fixture(scope="module")
def admin(url: str) -> Iterator[Redis]:
    with Redis.from_url(url, decode_responses=True) as client:
        yield client


def reason(url: str, **more: str) -> str:
    """Return why a start with this Redis fails: one line."""
    with pytest.raises(ConfigError) as caught:
        check_redis(Settings(redis_url=url, **more))
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def user(url: str, admin: Redis, *rights: str) -> str:
    """Return the URL for a user with these rights."""
    admin.execute_command("ACL", "SETUSER", "someone", "reset", "on", ">secret", *rights)
    return url.replace("redis://", "redis://someone:secret@")


def test_a_redis_in_order_passes_and_keeps_nothing(url: str, admin: Redis) -> None:
    admin.config_set("maxmemory", 64 * 1024 * 1024)
    assert check_redis(Settings(redis_url=url)) == []
    assert "keys" not in str(admin.info("keyspace"))


def test_several_programs_may_check_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: check_redis(Settings(redis_url=url)), range(40)))  # or the first error is raised


def test_the_embedded_redis_needs_no_check() -> None:
    assert check_redis(Settings()) == []


def test_every_command_of_a_script_is_checked() -> None:
    used = {name for file in SCRIPTS.glob("*.lua") for name in CALL.findall(file.read_text())}
    assert len(used) > 20 and used - NOTICES <= set(NAMES)


@pytest.mark.parametrize("command", NAMES)
def test_a_command_that_the_user_may_not_call_is_named(url: str, admin: Redis, command: str) -> None:
    told = reason(user(url, admin, "~*", "&*", "+@all", f"-{command}"))
    assert "DARKROOM_REDIS_URL" in told and "(NOPERM" in told and command in told


def test_the_rights_that_the_documentation_names_are_enough(url: str, admin: Redis) -> None:
    (rights,) = re.findall(r"rights `([^`]+)`", (ROOT / "docs" / "operations.md").read_text())
    check_redis(Settings(redis_url=user(url, admin, *rights.split())))


def test_keys_that_the_user_may_not_use_are_named(url: str, admin: Redis) -> None:
    assert "(NOPERM)" in reason(user(url, admin, "~darkroom:*", "+@all"))


def test_wrong_addresses_passwords_and_servers(url: str, admin: Redis) -> None:
    assert "cannot be reached" in reason(f"redis://127.0.0.1:{free_port()}/0")
    assert "DARKROOM_BROKER_URL" in reason(url, broker_url=f"redis://127.0.0.1:{free_port()}/0")
    admin.config_set("requirepass", "secret")
    try:
        assert "(NOAUTH)" in reason(url)
        assert "(WRONGPASS)" in reason(url.replace("redis://", "redis://:wrong@"))
    finally:
        admin.execute_command("CONFIG", "SET", "requirepass", "")


def test_a_server_with_one_database(url: str) -> None:
    """Given a URL of the last database, the next one is missing; a broker in the same database helps."""
    last = url[:-1] + "15"
    told = reason(last)
    assert "databases" in told and "DARKROOM_BROKER_URL" in told
    check_redis(Settings(redis_url=last, broker_url=last))


def test_a_read_only_replica(url: str, admin: Redis) -> None:
    admin.replicaof("127.0.0.1", str(free_port()))
    try:
        assert "(READONLY)" in reason(url) or "(MASTERDOWN)" in reason(url)
    finally:
        admin.replicaof("NO", "ONE")


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Return a function that starts a server with one answer to everything, and returns its URL."""
    servers = []

    def start(answer: bytes) -> str:
        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                while self.request.recv(65536):
                    self.request.sendall(answer)

        servers.append(ThreadingTCPServer(("127.0.0.1", 0), Handler))
        Thread(target=servers[-1].serve_forever, args=(0.02,)).start()
        return f"redis://127.0.0.1:{servers[-1].server_address[1]}/0"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_redis_that_is_loading_is_waited_for(answering: Callable[[bytes], str]) -> None:
    with pytest.raises(StillLoading, match="LOADING"):
        check_redis(Settings(redis_url=answering(b"-LOADING Redis is loading the dataset in memory\r\n")))


def test_another_program_at_the_address(answering: Callable[[bytes], str]) -> None:
    assert "is not a Redis server" in reason(answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"))


def test_what_is_missing_in_the_configuration(url: str, admin: Redis) -> None:
    settings = {"maxmemory": "0", "maxmemory-policy": "allkeys-lru", "appendonly": "no"}
    before = {name: admin.config_get(name)[name] for name in settings}
    for name, value in settings.items():
        admin.config_set(name, value)
    try:
        told = check_redis(Settings(redis_url=url))
    finally:
        for name, value in before.items():
            admin.config_set(name, value)
    assert ["noeviction" in told[0], "appendonly yes" in told[1], "set maxmemory." in told[2]] == [True] * 3
    assert shortcomings(admin) == []
    assert not admin.exists(*KEYS)


def test_a_redis_that_is_older_than_tested_is_named() -> None:
    """Given what INFO says, Then only the old version is named. No older server is at hand."""
    (line,) = missing({"redis_version": "6.2.14", "aof_enabled": 1, "maxmemory": 1})
    assert line.startswith("Redis 6.2.14 is older") and missing({"redis_version": "7.0.15"}) == []
