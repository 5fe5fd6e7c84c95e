"""Each refusal of Redis is Unavailable, and says what is wrong and what to do."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import redis

from cli.stack.embedded_redis import free_port
from shared.domain.entities import JobKind, Queue
from shared.domain.errors import Unavailable
from shared.jobs.messenger import Messenger
from shared.jobs.store import JobStore
from shared.redis.connection import SCRIPTS, Client, connect
from shared.redis.probe import BROKER_CALLS, JOB_STORE_CALLS, probe
from shared.settings import load_settings
from shared.startup import StillLoading, check_redis
from tests.conftest import wait_until
from tests.faults.proxy import Proxy, running_proxy

#: What each refusal says, by its code. Some cannot be had from a server at will.
REFUSALS = {
    "BUSY Redis is busy running a script.": "runs a script that does not end",
    "DENIED Redis is running in protected mode": "is in protected mode",
    "LOADING Redis is loading the dataset in memory": "is loading its data",
    "MASTERDOWN Link with MASTER is down": "is a replica that has lost its primary",
    "MISCONF Errors writing to the AOF file: No space left on device": "cannot write to its disk",
    "NOAUTH Authentication required.": "requires a password",
    "NOPERM User u has no permissions to run the 'zadd' command": "extend the user's ACL (NOPERM, ZADD)",
    "NOREPLICAS Not enough good replicas to write.": "replicas are missing",
    "OOM command not allowed when used memory > 'maxmemory'.": "is out of memory",
    "READONLY You can't write against a read only replica.": "is a read-only replica",
    "WRONGPASS invalid username-password pair or user is disabled.": "does not accept the password",
    "ERR unknown command 'EVALSHA', with args beginning with:": "does not know the command EVALSHA",
    "ERR DB index is out of range": "does not have the database in the URL",
    "ERR something new": "the log says which and why",
}


@pytest.fixture(scope="module")
def proxy(each_redis_url: str) -> Iterator[Proxy]:
    with running_proxy(int(each_redis_url.split(":")[2].split("/", maxsplit=1)[0])) as proxy:
        yield proxy


def said_by(call: Callable[[], object]) -> str:
    """Return the text of the Unavailable that the call raises."""
    with pytest.raises(Unavailable) as caught:
        call()
    assert caught.value.__cause__ is not None
    return str(caught.value)


def read(url: str) -> str:
    with closing(connect(url)) as client:
        return said_by(lambda: JobStore(client).exists("x"))


def write(url: str) -> str:
    with closing(connect(url)) as client:
        return said_by(lambda: JobStore(client).create(JobKind.CLASSIFICATION, retention_s=1))


def send(url: str) -> str:
    with closing(Messenger(url)) as messenger:
        return said_by(lambda: messenger.wake_workers(Queue.BULK))


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_a_refusal_says(proxy: Proxy, refusal: str) -> None:
    """Both on a new connection and on one that is open."""
    url = f"redis://127.0.0.1:{proxy.port}/0"
    with closing(connect(url)) as client:
        store = JobStore(client)
        store.check()
        proxy.refusal = refusal
        try:
            texts = {said_by(lambda: store.exists("x")), said_by(store.check_memory), read(url), write(url)}
            sent = send(url)
        finally:
            proxy.refusal = ""
        store.check()
    (text,) = texts
    assert text.startswith("the job store (Redis) ") and REFUSALS[refusal] in text
    assert sent.startswith("the queue (Redis) ") and REFUSALS[refusal] in sent


@contextmanager
def settings(client: Client, **wanted: str | int) -> Iterator[None]:
    """Set settings of Redis while the block runs."""
    names = {name: name.replace("_", "-") for name in wanted}
    before = {names[name]: client.config_get(names[name])[names[name]] for name in wanted}
    client.config_set(*(part for name, value in wanted.items() for part in (names[name], value)))
    try:
        yield
    finally:
        client.config_set(*(part for pair in before.items() for part in pair))


def test_real_refusals(each_redis: Client, each_redis_url: str) -> None:
    with settings(each_redis, min_replicas_to_write=1):
        assert "NOREPLICAS" in write(each_redis_url) and "NOREPLICAS" in send(each_redis_url)
    with settings(each_redis, maxmemory=1):
        assert "OOM" in send(each_redis_url)
    with replica(each_redis):
        assert "READONLY" in write(each_redis_url) and "READONLY" in send(each_redis_url)
        with settings(each_redis, replica_serve_stale_data="no"):
            assert "MASTERDOWN" in read(each_redis_url)
    with settings(each_redis, requirepass="secret"):
        assert "NOAUTH" in read(each_redis_url)
        assert "WRONGPASS" in read(each_redis_url.replace("://", "://:wrong@"))
    with busy(each_redis, each_redis_url):
        assert "BUSY" in read(each_redis_url)


def test_a_server_that_loads_its_data(redis_command: str, tmp_path: Path) -> None:
    words = [redis_command, "--port", str(free_port()), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    url = f"redis://127.0.0.1:{words[2]}/0"
    with running(words), closing(connect(url)) as client:
        wait_until(lambda: answer_of(url) == "None", "Redis answers")
        client.mset({f"key{number}": "x" * 100 for number in range(20_000)})
        client.save()
    with running([*words, "--key-load-delay", "250", "--loading-process-events-interval-bytes", "1024"]):
        wait_until(lambda: "loading" in answer_of(url), "Redis loads its data")
        with closing(connect(url)) as client, closing(Messenger(url)) as messenger:
            texts = [said_by(JobStore(client).check), said_by(messenger.check), read(url), write(url)]
        assert all("is loading its data: wait (LOADING)" in text for text in texts), texts
        with pytest.raises(StillLoading):
            check_redis(load_settings({"DARKROOM_REDIS_URL": url}))


@contextmanager
def running(words: list[str]) -> Iterator[None]:
    """Run a server, and kill it."""
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        server.kill()
        server.wait()


def answer_of(url: str) -> str:
    """Return what a server answers, or why it does not."""
    with redis.Redis.from_url(url) as client:
        try:
            return str(client.get("a"))
        except redis.ConnectionError as error:
            return str(error)


def test_the_probe_has_every_command_of_the_scripts() -> None:
    used = {name for file in SCRIPTS.glob("*.lua") for name in re.findall(r"redis\.call\('(\w+)'", file.read_text())}
    assert used - {call[0] for call in JOB_STORE_CALLS} == {"DEL", "EXPIRE", "UNLINK"}  # `probe` adds these


def test_the_probe_leaves_nothing(each_redis: Client) -> None:
    probe(each_redis, [*JOB_STORE_CALLS, *BROKER_CALLS])
    assert list(each_redis.scan_iter()) == []


def test_a_missing_permission_is_named(each_redis: Client, each_redis_url: str) -> None:
    each_redis.acl_setuser("limited", enabled=True, passwords="+secret", keys="*", commands=["+@all", "-exists"])
    url = each_redis_url.replace("://", "://limited:secret@")
    assert "(NOPERM, EXISTS)" in read(url)
    each_redis.acl_setuser("limited", enabled=True, commands=["-hset"])
    assert "NOPERM" in write(url)  # in a script
    with closing(connect(url)) as client, closing(Messenger(url)) as messenger:
        assert "(NOPERM, EXISTS)" in said_by(JobStore(client).check)
        assert "(NOPERM, HSET)" in said_by(messenger.check)
    each_redis.acl_deluser("limited")


@contextmanager
def replica(client: Client) -> Iterator[None]:
    client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@contextmanager
def busy(client: Client, url: str) -> Iterator[None]:
    """Let Redis run a script without end while the block runs."""
    client.config_set("busy-reply-threshold", 50)

    def run() -> None:
        with redis.Redis.from_url(url) as other, suppress(redis.RedisError):
            other.eval("while true do end", 0)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: is_busy(client), "Redis is busy")
        yield
    finally:
        client.script_kill()
        thread.join()
        client.config_set("busy-reply-threshold", 5000)


def is_busy(client: Client) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return str(error).startswith("BUSY")
    return False
