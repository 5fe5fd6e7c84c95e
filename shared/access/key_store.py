"""API keys in Redis, and the secret that signs session cookies."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

from shared.access.api_keys import ApiKey, Scope, digest_of, new_key
from shared.domain.errors import Conflict, NotFound
from shared.redis import keys
from shared.redis.connection import Client, now_ms, redis_errors


class KeyStore:
    """API keys by name. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def all(self) -> list[ApiKey]:
        """Return all keys, sorted by name."""
        return sorted(
            (_read(name, record) for name, record in self._redis.hgetall(keys.API_KEYS).items()),
            key=lambda key: key.name,
        )

    @redis_errors()
    def create(self, name: str, owner: str, scopes: Iterable[Scope]) -> str:
        """Create a key and return its text, which is not stored. Raises Conflict if the name is in use."""
        key = new_key()
        record = {"owner": owner, "scopes": sorted(scopes), "digest": digest_of(key), "created_at": now_ms(self._redis)}
        if not self._redis.hsetnx(keys.API_KEYS, name, json.dumps(record)):
            raise Conflict(f"there is already a key {name}: revoke it, or choose another name")
        return key

    @redis_errors()
    def revoke(self, name: str) -> None:
        """Delete a key. Raises NotFound."""
        if not self._redis.hdel(keys.API_KEYS, name):
            raise NotFound(f"there is no key {name}")

    @redis_errors()
    def secret(self) -> str:
        """Return the secret for signing, the same in all processes; the first call creates it."""
        self._redis.set(keys.SECRET, secrets.token_hex(32), nx=True)
        return str(self._redis.get(keys.SECRET))


def _read(name: str, record: str) -> ApiKey:
    fields = json.loads(record)
    scopes = frozenset(Scope(scope) for scope in fields["scopes"])
    return ApiKey(name, fields["owner"], scopes, fields["digest"], fields["created_at"] / 1000)
