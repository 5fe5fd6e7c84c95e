"""Redis Sentinel: both clients follow the primary, and the job store goes on where its replica has got to."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from cli.stack.embedded_redis import free_port
from shared.domain.entities import Counts, JobState, Queue
from shared.domain.errors import ConfigError, Unavailable
from shared.jobs.chunks import CHUNK_ITEMS
from shared.jobs.messenger import Messenger, celery_app
from shared.redis.connection import connect, undecoded
from shared.settings import load_settings
from shared.startup import check_redis
from tests.conftest import running_redis, wait_until
from tests.programs import need
from tests.sentinels_kit import NAME, SENTINELS_PASSWORD, Site, running_sentinels
from tests.shared.kit import Kit, names, uploads

#: More items than a chunk has.
COUNT = CHUNK_ITEMS + 10


@pytest.fixture
def site(redis_command: str, tmp_path: Path) -> Iterator[Site]:
    with running_sentinels(redis_command, tmp_path) as site:
        yield site


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_a_failover_in_the_middle_of_a_job(site: Site, how: signal.Signals) -> None:
    """Given a chunk that is claimed and one that waits, When the primary dies, Then the job ends, each item once."""
    goes_on(site, how)


def test_a_failover_with_tls_and_a_password_of_the_sentinels(tmp_path: Path) -> None:
    need("openssl")
    with running_sentinels(need("redis-server"), tmp_path, secured=True) as site:
        for part, changed in (
            (f"&sentinel_password={SENTINELS_PASSWORD}", ""),
            (f"&ssl_ca_certs={tmp_path}/ca.pem", ""),
            ("sentinels://", "sentinel://"),
        ):
            with pytest.raises(ConfigError, match="DARKROOM_REDIS_URL"):
                check_redis(load_settings({"DARKROOM_REDIS_URL": site.url.replace(part, changed)}))
        goes_on(site, signal.SIGKILL)


def goes_on(site: Site, how: signal.Signals) -> None:
    settings = load_settings({"DARKROOM_REDIS_URL": site.url})
    check_redis(settings)
    broker = settings.resolved_broker_url()
    with closing(connect(site.url)) as client, closing(Messenger(broker)) as messenger:
        kit, binary = Kit(client), undecoded(client)
        job = kit.sealed_job(uploads(COUNT))
        first = kit.claim()
        assert len(names(first)) < COUNT
        assert messenger.wake_workers(Queue.BULK) == 1
        binary.set("bytes", b"\xff")
        client.set("last", 1)
        assert client.wait(1, 1000) == 1, "the replica has everything until here"
        site.fail_over(how)
        for call in (
            lambda: kit.store.get(job),
            lambda: messenger.message_count(Queue.BULK),
            lambda: messenger.wake_workers(Queue.BULK),
            lambda: binary.get("bytes"),
        ):
            wait_until(lambda call=call: worked(call), "the new primary is used")
        assert client.connection_pool.get_master_address() == ("127.0.0.1", site.servers[1])
        assert binary.get("bytes") == b"\xff"
        binary.close()
        kit.finish(first)
        kit.work_off()
        assert (kit.store.get(job).state, kit.counted(job)) == (JobState.SUCCEEDED, Counts(COUNT, succeeded=COUNT))
        with celery_app(broker) as app, app.connection_for_read() as connection:
            assert connection.ensure_connection(max_retries=3, timeout=20).channel().client.llen(Queue.BULK) == 2


def worked(call) -> bool:
    """Tell whether a call succeeds. Each client notices by a timeout that the primary hangs."""
    try:
        call()
    except (Unavailable, redis.RedisError):
        return False
    return True


def test_what_cannot_be_a_primary_is_told_in_a_line(tmp_path: Path) -> None:
    with running_redis("redis-server", tmp_path) as url:
        port = url.rpartition(":")[2].removesuffix("/0")
        reasons = {
            f"sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/0?master={NAME}": "no primary that its",
            f"sentinel://127.0.0.1:{port}/0?master={NAME}": "is a server and not a Sentinel",
        }
        for wrong, reason in reasons.items():
            with pytest.raises(ConfigError, match=reason):
                check_redis(load_settings({"DARKROOM_REDIS_URL": wrong}))
