"""API keys in Redis, and the secret that the pages' session cookies are signed with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

from shared.access import ApiKey, Scope, digest_of, is_loopback, new_key
from shared.errors import ConfigError, Conflict, NotFound, Unavailable
from shared.jobs import keys
from shared.jobs.connection import Client, now_ms, translated
from shared.settings import Settings


class KeyStore:
    """Keys by name. Every method raises Unavailable where Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @translated
    def all(self) -> list[ApiKey]:
        """Every key, by name."""
        return sorted(
            (_read(name, record) for name, record in self._redis.hgetall(keys.API_KEYS).items()),
            key=lambda key: key.name,
        )

    @translated
    def create(self, name: str, owner: str, scopes: Iterable[Scope]) -> str:
        """Make a key and return its text, which nobody can see again. Raises Conflict where the name is taken."""
        key = new_key()
        record = {"owner": owner, "scopes": sorted(scopes), "digest": digest_of(key), "created_at": now_ms(self._redis)}
        if not self._redis.hsetnx(keys.API_KEYS, name, json.dumps(record)):
            raise Conflict(f"there is a key {name} already: revoke it, or take another name")
        return key

    @translated
    def revoke(self, name: str) -> None:
        """Forget a key. Raises NotFound."""
        if not self._redis.hdel(keys.API_KEYS, name):
            raise NotFound(f"there is no key {name}")

    @translated
    def secret(self) -> str:
        """What all web processes sign with; made when it is first asked for."""
        self._redis.set(keys.SECRET, secrets.token_hex(32), nx=True)
        return str(self._redis.get(keys.SECRET))


def _read(name: str, record: str) -> ApiKey:
    fields = json.loads(record)
    scopes = frozenset(Scope(scope) for scope in fields["scopes"])
    return ApiKey(name, fields["owner"], scopes, fields["digest"], fields["created_at"] / 1000)


def reached_by_others(settings: Settings, address: str) -> bool:
    """Whether others than this machine come in at an address, and nothing else keeps strangers out."""
    return not settings.allow_keyless and (settings.trusted_proxies > 0 or not is_loopback(address))


def needs_stored_key(settings: Settings) -> bool:
    """Whether a start takes a key in the store: others can reach the service, and the settings have none."""
    return reached_by_others(settings, settings.host) and not settings.api_keys


def check_binding(settings: Settings, store: KeyStore) -> None:
    """Raise ConfigError where others can reach the service and there is no key at all.

    Where Redis cannot be asked the start goes on: nobody is let in before it answers.
    """
    if needs_stored_key(settings) and not _keys_or_unknown(store):
        way = "through a proxy" if settings.trusted_proxies else f"at DARKROOM_HOST={settings.host}"
        raise ConfigError(
            f"others can reach the service {way}, and there is no API key: "
            "make one with `darkroom keys create NAME`, or set DARKROOM_API_KEYS"
        )


def _keys_or_unknown(store: KeyStore) -> bool:
    try:
        return bool(store.all())
    except Unavailable:
        return True
