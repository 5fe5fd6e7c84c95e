"""Webhook signing secrets: one per owner, replaceable without a failed delivery."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.redis import keys
from shared.redis.connection import now_ms
from shared.webhooks import message
from shared.webhooks.signing_secrets import OVERLAP_S, SECRET_BYTES, WebhookSecrets
from tests.shared.kit import Kit


def test_each_owner_has_a_permanent_secret(kit: Kit) -> None:
    secrets = WebhookSecrets(kit.redis)
    ann, bob = secrets.get("ann"), secrets.get("bob")
    assert ann.current != bob.current and WebhookSecrets(kit.redis).get("ann") == ann
    assert len(base64.b64decode(ann.current.removeprefix("whsec_"))) == SECRET_BYTES
    content = "{}"
    signed = message.headers("id-1", datetime.now(UTC), content, ann.all)
    assert Webhook(ann.current).verify(content, signed) == {}
    with pytest.raises(WebhookVerificationError):
        Webhook(bob.current).verify(content, signed)


def test_a_replaced_secret_signs_for_another_day(kit: Kit) -> None:
    secrets = WebhookSecrets(kit.redis)
    first = secrets.get("ann")
    second = secrets.replace("ann")
    assert secrets.get("ann") == second and second.all == [second.current, first.current]
    assert second.previous_until == pytest.approx(now_ms(kit.redis) / 1000 + OVERLAP_S, abs=5)
    third = secrets.replace("ann")
    assert third.all == [third.current, second.current]
    record = json.loads(kit.redis.hget(keys.WEBHOOK_SECRETS, "ann")) | {"previous_until": now_ms(kit.redis) / 1000 - 1}
    kit.redis.hset(keys.WEBHOOK_SECRETS, "ann", json.dumps(record))
    assert secrets.get("ann").all == [third.current]
