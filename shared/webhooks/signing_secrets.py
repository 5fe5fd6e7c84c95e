"""The secrets that webhooks are signed with: one for each owner, made when it is first needed, in Redis."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import asdict, dataclass

from shared.redis import keys
from shared.redis.connection import Client, now_ms, redis_errors

#: Bytes of a secret: Standard Webhooks asks for 24 to 64.
SECRET_BYTES = 32
#: Seconds for which a secret that was replaced still signs beside the new one, so that receivers can change over.
OVERLAP_S = 24 * 3600


@dataclass(frozen=True)
class Secret:
    """An owner's secret, and the one before while it still signs too (until `previous_until`, s since the epoch)."""

    current: str
    previous: str | None = None
    previous_until: float | None = None

    @property
    def all(self) -> list[str]:
        """What a message is signed with."""
        return [self.current] + ([self.previous] if self.previous else [])


class WebhookSecrets:
    """Every owner's secret. Every method raises Unavailable where Redis cannot be reached."""

    def __init__(self, client: Client) -> None:
        self._redis = client

    @redis_errors()
    def get(self, owner: str) -> Secret:
        """The owner's secret, made now where there is none."""
        self._redis.hsetnx(keys.WEBHOOK_SECRETS, owner, json.dumps(asdict(Secret(_new()))))
        record = self._redis.hget(keys.WEBHOOK_SECRETS, owner)
        found = Secret(**json.loads(record))
        over = (found.previous_until or 0) <= now_ms(self._redis) / 1000
        return Secret(found.current) if over else found

    @redis_errors()
    def replace(self, owner: str) -> Secret:
        """Make a new secret; the one before signs too for OVERLAP_S."""
        before = self.get(owner)
        now = Secret(_new(), before.current, now_ms(self._redis) / 1000 + OVERLAP_S)
        self._redis.hset(keys.WEBHOOK_SECRETS, owner, json.dumps(asdict(now)))
        return now


def _new() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
