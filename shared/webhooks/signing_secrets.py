"""Webhook signing secrets in Redis: one per owner, created on first use."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass

from shared.redis import keys
from shared.redis.connection import Client, now_ms, redis_errors

#: Bytes of a secret; Standard Webhooks requires 24 to 64.
SECRET_BYTES = 32
#: Seconds for which a replaced secret still signs as well, so that receivers can switch.
OVERLAP_S = 24 * 3600


@dataclass(frozen=True)
class Secret:
    """An owner's secret, and the replaced one while it still signs (until `previous_until`, s since the epoch)."""

    current: str
    previous: str | None = None
    previous_until: float | None = None

    @property
    def all(self) -> list[str]:
        """Return the secrets that sign a message, the current one first."""
        return [self.current] + ([self.previous] if self.previous else [])


class WebhookSecrets:
    """Secrets in Redis. Every method raises Unavailable if Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def get(self, owner: str) -> Secret:
        """Return the owner's secret, creating it if necessary."""
        self._redis.hsetnx(keys.WEBHOOK_SECRETS, owner, json.dumps(asdict(Secret(_new()))))
        record = self._redis.hget(keys.WEBHOOK_SECRETS, owner)
        found = Secret(**json.loads(record))
        has_expired = (found.previous_until or 0) <= now_ms(self._redis) / 1000
        return Secret(found.current) if has_expired else found

    @redis_errors()
    def replace(self, owner: str) -> Secret:
        """Create and return a new secret. The replaced one still signs for OVERLAP_S seconds."""
        before = self.get(owner)
        now = Secret(_new(), before.current, now_ms(self._redis) / 1000 + OVERLAP_S)
        self._redis.hset(keys.WEBHOOK_SECRETS, owner, json.dumps(asdict(now)))
        return now


def _new() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
