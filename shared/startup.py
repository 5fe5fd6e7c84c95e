"""Checks before the service starts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from shared.access.key_store import KeyStore
from shared.domain.errors import ConfigError, Unavailable
from shared.redis.configuration import shortcomings
from shared.redis.connection import BROKER, JOB_STORE, connect, redis_errors
from shared.redis.probe import BROKER_CALLS, JOB_STORE_CALLS, Calls, probe
from shared.settings import Settings

#: What is to blame if messages cannot be sent.
DERIVED_BROKER = "DARKROOM_REDIS_URL, whose next database is used unless DARKROOM_BROKER_URL names another one"


class StillLoading(ConfigError):
    """A Redis server is in order but has not loaded its data yet."""


@contextmanager
def exit_on_config_error() -> Iterator[None]:
    """End the program with one line if a setting is wrong."""
    try:
        yield
    except ConfigError as error:
        sys.exit(f"Darkroom cannot start: {error}")


def check_redis(settings: Settings) -> list[str]:
    """Return what is missing in the configuration of the person's own Redis; nothing if only the embedded one is used.

    Raises ConfigError, StillLoading among them, if it cannot be used.
    """
    if settings.redis_url:
        _check("DARKROOM_REDIS_URL", JOB_STORE, settings.redis_url, JOB_STORE_CALLS)
        with closing(connect(settings.redis_url)) as client:
            missing = shortcomings(client)
    else:
        missing = []
    if settings.redis_url or settings.broker_url:
        name = "DARKROOM_BROKER_URL" if settings.broker_url else DERIVED_BROKER
        _check(name, BROKER, settings.resolved_broker_url(), BROKER_CALLS)
    return missing


def _check(setting: str, part: str, url: str, calls: Calls) -> None:
    try:
        with closing(connect(url)) as client, redis_errors(part):
            probe(client, calls)
    except Unavailable as error:
        kind = StillLoading if "(LOADING)" in str(error) else ConfigError
        raise kind(f"{setting}: {error}") from error


def check_binding(settings: Settings, store: KeyStore) -> None:
    """Raise ConfigError if other machines can reach the service and there is no API key.

    If Redis cannot be reached the start continues: no request is accepted before it answers.
    """
    if settings.needs_stored_key and not _has_keys(store):
        way = "through a proxy" if settings.trusted_proxies else f"at DARKROOM_HOST={settings.host}"
        raise ConfigError(
            f"other machines can reach the service {way}, but there is no API key: "
            "create one with `./darkroom keys create NAME`, or set DARKROOM_API_KEYS"
        )


def _has_keys(store: KeyStore) -> bool:
    """Return whether the store has a key; True if Redis cannot be reached."""
    try:
        return bool(store.all())
    except Unavailable:
        return True
