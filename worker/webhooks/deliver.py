"""The webhook sender: `python -m worker.webhooks`, in any number of copies. It needs only Redis.

A slow or dead receiver occupies at most PER_RECEIVER threads of each copy, so it does not delay other receivers.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial

from shared import logs
from shared.domain.entities import Failure
from shared.domain.errors import DarkroomError, DeliveryError
from shared.jobs.deliveries import Attempt, ClaimedDelivery, DeliveryOutcome, DeliveryStore
from shared.jobs.rounds import DELIVER, Rounds
from shared.redis.connection import connect
from shared.settings import load_settings
from shared.webhooks import message, target
from shared.webhooks.resolver import Resolver
from shared.webhooks.signing_secrets import WebhookSecrets
from worker.runtime.signals import stop_event
from worker.runtime.steps import Step
from worker.webhooks.webhook_client import WebhookClient, WebhookResponse

log = logging.getLogger("darkroom.deliver")

#: Seconds between attempts, as Standard Webhooks recommends. When the last one fails, the delivery has failed.
SCHEDULE_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600)
#: Random extra delay, as a share of the interval, so that deliveries that failed together are not retried together.
JITTER = 0.2
#: Longest `Retry-After` that is honoured, in seconds.
MAX_RETRY_AFTER_S = 24 * 3600
#: Concurrent attempts: in total, and per receiver.
THREADS, PER_RECEIVER = 32, 4
#: Seconds between two polls for due deliveries.
POLL_S = 1.0

HEADERS = {"Content-Type": "application/json", "User-Agent": "Darkroom", "Accept": "*/*"}


class WebhookSender:
    """A sender of due deliveries, each in its own thread. `on_round` is called before each claim."""

    def __init__(
        self,
        deliveries: DeliveryStore,
        secrets: WebhookSecrets,
        client: WebhookClient,
        schedule_s: Sequence[float] = SCHEDULE_S,
        on_round: Callable[[], object] = lambda: None,
    ) -> None:
        self._deliveries, self._secrets, self._client, self._schedule_s = deliveries, secrets, client, schedule_s
        self._active: Counter[str] = Counter()
        self._claim = Step("the claim of deliveries", self._claim_one, log)
        self._on_round = Step("the sign of life", on_round, log)
        self._thread_freed = threading.Condition()

    def run(self, stopping: threading.Event) -> None:
        """Send until `stopping` is set, then wait for the attempts in progress."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="deliver") as threads:
            while not stopping.is_set():
                self._on_round()
                due = self._claim()
                if due is None:
                    self._wait_for_thread(POLL_S)
                else:
                    threads.submit(self._send_in_thread, due)

    def send(self, due: ClaimedDelivery) -> None:
        """Make one attempt at a delivery. Raise Unavailable if it cannot be recorded; it is repeated then."""
        at, began = datetime.now(UTC), time.monotonic()
        response, failure = self._attempt(due, at)
        duration_s = round(time.monotonic() - began, 3)
        attempt = Attempt(at.timestamp(), duration_s, response.status if response else None, failure)
        outcome, delay_s = self._next_step(due, response, failure)
        self._deliveries.end_attempt(due, attempt, outcome, delay_s)
        result = failure.detail if failure else "delivered"
        log.info("attempt %d at delivery %s to %s: %s", due.attempt_number, due.id, due.receiver, result)

    def _claim_one(self) -> ClaimedDelivery | None:
        """Claim a due delivery and count it as active. Return None without one or without a free thread.

        Raise Unavailable.
        """
        with self._thread_freed:
            if self._active.total() >= THREADS:
                return None
            busy = [receiver for receiver, count in self._active.items() if count >= PER_RECEIVER]
        due = self._deliveries.claim(busy)
        if due is not None:
            with self._thread_freed:
                self._active[due.receiver] += 1
        return due

    def _wait_for_thread(self, seconds: float) -> None:
        """Wait until a thread becomes free, at most `seconds`."""
        with self._thread_freed:
            self._thread_freed.wait(seconds)

    def _send_in_thread(self, due: ClaimedDelivery) -> None:
        try:
            with logs.job_context(due.job.id, due.job.request_id, delivery=due.id):
                self.send(due)
        except DarkroomError as error:
            log.warning(
                "the attempt at delivery %s was not recorded and will be repeated: %s", due.id, logs.with_cause(error)
            )
        except Exception:  # an error in a pool thread is not logged elsewhere
            log.exception("the attempt at delivery %s failed and will be repeated", due.id)
        finally:
            with self._thread_freed:
                self._active[due.receiver] -= 1
                self._active += Counter()  # drop receivers at 0
                self._thread_freed.notify()

    def _attempt(self, due: ClaimedDelivery, at: datetime) -> tuple[WebhookResponse | None, Failure | None]:
        secrets = self._secrets.get(due.job.owner).all
        try:
            content = message.body(due.job)
            headers = HEADERS | message.headers(due.id, at, content, secrets)
            response = self._client.post(target.parse(due.url), headers, content.encode())
        except DeliveryError as error:
            return None, Failure(error.code, str(error))
        except Exception:  # counts as a failed attempt: otherwise it would be repeated at once, forever
            log.exception("unexpected error in delivery %s", due.id)
            return None, Failure("internal", "an unexpected error; see the log of the webhook sender")
        return response, status_failure(response.status)

    def _next_step(
        self, due: ClaimedDelivery, response: WebhookResponse | None, failure: Failure | None
    ) -> tuple[DeliveryOutcome | None, float]:
        """Return the final outcome; or None, and the seconds until the next attempt."""
        if failure is None:
            return DeliveryOutcome.DELIVERED, 0
        if failure.code == "gone":
            return DeliveryOutcome.GONE, 0
        if due.attempt_number > len(self._schedule_s):
            return DeliveryOutcome.FAILED, 0
        delay_s = self._schedule_s[due.attempt_number - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311  # not a secret
        return None, max(delay_s, retry_after_s(response.retry_after if response else None))


def status_failure(status: int) -> Failure | None:
    """Return the failure for a response's status, None for 2xx. 410 unsubscribes the receiver."""
    if 200 <= status < 300:
        return None
    if status == 410:
        return Failure("gone", "the receiver returned 410 Gone: it does not accept further deliveries")
    if 300 <= status < 400:
        return Failure("redirect", f"the receiver returned {status}; redirects are not followed")
    return Failure("status", f"the receiver returned {status}")


def retry_after_s(value: str | None) -> float:
    """Return the seconds in a `Retry-After` header (RFC 9110, section 10.2.3), capped; 0 if missing or invalid."""
    try:
        seconds = int(value) if value and value.isdecimal() else _seconds_until(value or "")
    except (ValueError, TypeError, OverflowError):
        return 0
    return min(max(seconds, 0), MAX_RETRY_AFTER_S)


def _seconds_until(date: str) -> float:
    """Return the seconds until an HTTP date. Raise ValueError, TypeError or OverflowError if it is not one."""
    return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()


def main() -> None:
    """Send until SIGTERM or SIGINT."""
    logs.configure()
    stopping = stop_event()
    settings = load_settings()
    redis = connect(settings.resolved_redis_url())
    client = WebhookClient(Resolver(settings.webhooks_allowed))
    alive = partial(Rounds(redis).record, DELIVER)
    WebhookSender(DeliveryStore(redis), WebhookSecrets(redis), client, on_round=alive).run(stopping)
