"""Clients of the primary that Redis Sentinel names, which another server may become at any time."""

from __future__ import annotations

from typing import Any

import redis
from redis import SSLConnection
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from shared.redis.urls import PrimaryUrl

#: Timeout of a Sentinel, in seconds: four that do not answer, asked twice, stay below the 5 s of the API.
TIMEOUT_S = 0.5


def options(url: PrimaryUrl) -> dict[str, Any]:
    """Return the options of a connection to a Sentinel. The next Sentinel is asked instead of the same one again."""
    once = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
    login = {"username": url.sentinel_username, "password": url.sentinel_password}
    return {**once, **login, "ssl": url.tls is not None, **tls_options(url)}


def tls_options(url: PrimaryUrl) -> dict[str, Any]:
    """Return the options of TLS for redis-py and Celery; none without TLS."""
    if url.tls is None:
        return {}
    checks = {"ssl_check_hostname": url.tls["ssl_check_hostname"] == "true"} if "ssl_check_hostname" in url.tls else {}
    return {"ssl_cert_reqs": "required", **url.tls, **checks}


class Sentinels(Sentinel):
    """The Sentinels of a URL. They are asked at each new connection, so the connections to them are not kept."""

    def discover_master(self, service_name: str) -> Any:
        """Return the address of the primary. Raise redis.ConnectionError if no Sentinel knows one that is alive."""
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]  # redis.sentinel has no types
        finally:
            for sentinel in self.sentinels:
                sentinel.connection_pool.disconnect(inuse_connections=False)


class PrimaryConnection(SentinelManagedConnection):
    """A connection that is closed after a timeout, as others of redis-py are: what arrives late answers nothing."""

    def read_response(self, *args: Any, disconnect_on_error: bool | None = True, **words: Any) -> Any:
        """Return the next response. Raise redis.RedisError."""
        read: Any = super().read_response
        return read(*args, disconnect_on_error=disconnect_on_error, **words)


class PrimaryTlsConnection(PrimaryConnection, SSLConnection):
    """The same with TLS."""


def client(url: PrimaryUrl, **words: Any) -> Any:
    """Return a client of the primary, with these options of redis-py. It connects on first use."""
    sentinels: Any = Sentinels(url.sentinels, sentinel_kwargs=options(url))  # type: ignore[no-untyped-call]
    login = {"db": url.database, "username": url.username, "password": url.password}
    words["connection_class"] = PrimaryConnection if url.tls is None else PrimaryTlsConnection
    return sentinels.master_for(url.name, redis.Redis, **login, **tls_options(url), **words)


def same_primary(pool: SentinelConnectionPool, **words: Any) -> Any:
    """Return another pool of connections to the same primary, with some options changed."""
    given = {name: value for name, value in pool.connection_kwargs.items() if name != "connection_pool"}
    make: Any = SentinelConnectionPool
    return make(pool.service_name, pool.sentinel_manager, **given | {"connection_class": pool.connection_class} | words)


def celery_options(url: PrimaryUrl) -> dict[str, Any]:
    """Return the options of Celery's transport, whose URLs do not name the primary."""
    return {"master_name": url.name, "sentinel_kwargs": options(url)}
