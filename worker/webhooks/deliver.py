"""The sender of webhooks: `python -m worker.webhooks`, in any number of copies. Of Darkroom it needs Redis alone.

A receiver that is slow or dead holds PER_RECEIVER threads of each copy at most, and nobody else's deliveries wait
behind its own.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from shared import logs
from shared.domain.entities import Failure
from shared.domain.errors import DarkroomError, DeliveryError
from shared.jobs.deliveries import Attempt, ClaimedDelivery, DeliveryOutcome, DeliveryStore
from shared.redis.connection import connect
from shared.settings import load_settings
from shared.webhooks import message, target
from shared.webhooks.resolver import Resolver
from shared.webhooks.signing_secrets import WebhookSecrets
from worker.runtime.signals import stop_event
from worker.webhooks.webhook_client import WebhookClient, WebhookResponse

log = logging.getLogger("darkroom.deliver")

#: Seconds after each failed attempt, by Standard Webhooks' recommendation; after the last one the delivery is given up.
SCHEDULE_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600)
#: The share of such a time by which it is longer at random: many deliveries that failed together do not come together.
JITTER = 0.2
#: Seconds that a receiver may ask us to wait at most, by `Retry-After`.
MAX_RETRY_AFTER_S = 24 * 3600
#: Attempts at a time: all of them, and those at one receiver.
THREADS, PER_RECEIVER = 32, 4
#: Seconds between two looks for what is due, and after which Redis is asked again where it did not answer.
POLL_S, PAUSE_S = 0.25, 1.0

HEADERS = {"Content-Type": "application/json", "User-Agent": "Darkroom", "Accept": "*/*"}


class WebhookSender:
    """Sends what is due, each delivery in a thread of its own."""

    def __init__(
        self,
        deliveries: DeliveryStore,
        secrets: WebhookSecrets,
        client: WebhookClient,
        schedule_s: Sequence[float] = SCHEDULE_S,
    ) -> None:
        self._deliveries, self._secrets, self._client, self._schedule_s = deliveries, secrets, client, schedule_s
        self._in_hand: Counter[str] = Counter()
        self._free = threading.Condition()

    def run(self, stopping: threading.Event) -> None:
        """Send until `stopping` is set; what is in hand then is sent to its end."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="deliver") as threads:
            while not stopping.is_set():
                due = self._next()
                if due is None:
                    self._rest(POLL_S)
                else:
                    threads.submit(self._in_thread, due)

    def send(self, due: ClaimedDelivery) -> None:
        """One attempt at one delivery. Raises Unavailable where it cannot be recorded: it is made again then."""
        at, began = datetime.now(UTC), time.monotonic()
        answer, failure = self._attempt(due, at)
        duration_s = round(time.monotonic() - began, 3)
        attempt = Attempt(at.timestamp(), duration_s, answer.status if answer else None, failure)
        ending, delay_s = self._what_next(due, answer, failure)
        self._deliveries.end_attempt(due, attempt, ending, delay_s)
        outcome = failure.detail if failure else "taken"
        log.info("try %d of delivery %s to %s: %s", due.attempt_number, due.id, due.receiver, outcome)

    def _next(self) -> ClaimedDelivery | None:
        """The next delivery, counted as in hand; None where there is none, no thread for it, or no Redis."""
        with self._free:
            if self._in_hand.total() >= THREADS:
                return None
            busy = [receiver for receiver, count in self._in_hand.items() if count >= PER_RECEIVER]
        try:
            due = self._deliveries.claim(busy)
        except DarkroomError as error:
            log.warning("no deliveries: %s", error)
            time.sleep(PAUSE_S)
            return None
        if due is not None:
            with self._free:
                self._in_hand[due.receiver] += 1
        return due

    def _rest(self, seconds: float) -> None:
        """Wait until a thread is free, or for so long."""
        with self._free:
            self._free.wait(seconds)

    def _in_thread(self, due: ClaimedDelivery) -> None:
        try:
            with logs.job_context(due.job.id, due.job.request_id, delivery=due.id):
                self.send(due)
        except DarkroomError as error:
            log.warning("delivery %s is sent again: %s", due.id, error)
        except Exception:  # a thread's error is seen nowhere else
            log.exception("delivery %s is sent again", due.id)
        finally:
            with self._free:
                self._in_hand[due.receiver] -= 1
                self._in_hand += Counter()  # without those that are at 0
                self._free.notify()

    def _attempt(self, due: ClaimedDelivery, at: datetime) -> tuple[WebhookResponse | None, Failure | None]:
        secrets = self._secrets.get(due.job.owner).all
        try:
            content = message.body(due.job)
            headers = HEADERS | message.headers(due.id, at, content, secrets)
            answer = self._client.post(target.parse(due.url), headers, content.encode())
        except DeliveryError as error:
            return None, Failure(error.code, str(error))
        except Exception:  # what nobody thought of is a failed attempt too: it is not made again at once, and for ever
            log.exception("delivery %s", due.id)
            return None, Failure("internal", "an unexpected error; the log of the sender has it")
        return answer, failure_of(answer.status)

    def _what_next(
        self, due: ClaimedDelivery, answer: WebhookResponse | None, failure: Failure | None
    ) -> tuple[DeliveryOutcome | None, float]:
        """How the delivery ends; or None, and the seconds until the next attempt."""
        if failure is None:
            return DeliveryOutcome.DELIVERED, 0
        if failure.code == "gone":
            return DeliveryOutcome.GONE, 0
        if due.attempt_number > len(self._schedule_s):
            return DeliveryOutcome.FAILED, 0
        delay_s = self._schedule_s[due.attempt_number - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311  # no secret
        return None, max(delay_s, retry_after_s(answer.retry_after if answer else None))


def failure_of(status: int) -> Failure | None:
    """What an answer's status means: any 2xx is a success, 410 the wish to hear nothing more."""
    if 200 <= status < 300:
        return None
    if status == 410:
        return Failure("gone", "the receiver answered 410 Gone: it wants no more of this")
    if 300 <= status < 400:
        return Failure("redirect", f"the receiver answered {status}, and redirects are not followed")
    return Failure("status", f"the receiver answered {status}")


def retry_after_s(value: str | None) -> float:
    """The seconds in a `Retry-After` (RFC 9110, section 10.2.3), within reason; 0 where there are none."""
    try:
        seconds = int(value) if value and value.isdecimal() else _seconds_until(value or "")
    except (ValueError, TypeError, OverflowError):
        return 0
    return min(max(seconds, 0), MAX_RETRY_AFTER_S)


def _seconds_until(date: str) -> float:
    """Seconds until a date as HTTP writes it. Raises ValueError, TypeError, OverflowError for what is none."""
    return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()


def main() -> None:
    """Send until SIGTERM or SIGINT."""
    logs.configure()
    stopping = stop_event()
    settings = load_settings()
    client = connect(settings.resolved_redis_url())
    sender = WebhookClient(Resolver(settings.webhooks_allowed))
    WebhookSender(DeliveryStore(client), WebhookSecrets(client), sender).run(stopping)
