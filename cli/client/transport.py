"""One HTTP call at a time, repeated where that may help and does no harm."""

from __future__ import annotations

import email.utils
import itertools
import random
import secrets
import ssl
import threading
import time
from typing import Any
from urllib.parse import quote

import httpx

from cli.client.errors import Conflict, Fault, Misconfigured, Refused, Unreachable, error_class

#: Seconds until a connection is there, and between two pieces of an answer: importing a model is answered within 55.
CONNECT_S, READ_S = 10.0, 75.0
#: Seconds before the first repeat, and the most before any; doubled each time, less up to half by chance, so that
#: clients which failed together do not come back together.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.25, 8.0
#: Answers that pass: too many requests, and a service, or a proxy before it, that cannot just now.
PASSING = {429, 502, 503, 504}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Transport:
    """Calls the service at `url`. A call that fails for a reason that passes is repeated for up to `retry_s` seconds.

    That does no harm: a POST carries an `Idempotency-Key`, and the other methods may be repeated by their nature.
    """

    def __init__(self, url: str, api_key: str | None, retry_s: float) -> None:
        self.url = _checked(url)
        self._retry_s = retry_s
        self._closed = threading.Event()
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {_visible(api_key)}"} if api_key else {},
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S, pool=None),
            trust_env=self.url.host not in LOOPBACK,  # a proxy of the environment cannot see this machine's loopback
            # Reading all certificates takes 25 ms, which plain HTTP can do without.
            verify=True if self.url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    def close(self) -> None:
        """Drop the connections, and end what waits for a repeat."""
        self._closed.set()
        self._http.close()

    def once(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The answer, whatever its status. Raises Unreachable."""
        try:
            return self._http.request(method, path, **content)
        except httpx.TransportError as error:
            raise Unreachable(f"no answer from {self.url}: {error or type(error).__name__}") from error

    def json(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """The object in the answer to `call`. Raises as that does."""
        return json_of(self.call(method, path, **content))

    def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, repeatable: bool = False, **content: Any
    ) -> httpx.Response:
        """The answer to a call that succeeded, or 304. Raises Unreachable and Refused.

        A POST gets an `Idempotency-Key`, unless it has one or is `repeatable` by its nature.
        """
        headers = dict(headers or {})
        resumed = "Idempotency-Key" in headers
        if method == "POST" and not repeatable:
            headers.setdefault("Idempotency-Key", secrets.token_hex(16))
        deadline = time.monotonic() + self._retry_s
        for attempt in itertools.count():
            try:
                answer = self.once(method, path, headers=headers, **content)
                if _is_done(method, answer, repeated=attempt > 0):
                    break
                raise refusal(answer)
            except (Unreachable, Refused) as error:
                pause = _pause(error, attempt, resumed=resumed)
                if pause is None or time.monotonic() + pause > deadline or self._closed.wait(pause):
                    raise
        return answer


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The object in an answer. Raises Unreachable where there is none, as in the page of a proxy."""
    try:
        return dict(answer.json())
    except (ValueError, TypeError) as error:
        raise Unreachable(f"what answers at {answer.url} is not Darkroom") from error


def job_path(job_id: str, *more: str) -> str:
    """The path of a job, or of something of it; an id with a slash in it is still one."""
    return "/".join(("/v1/jobs", quote(job_id, safe=""), *more))


def refusal(answer: httpx.Response) -> Refused:
    """The error that an answer stands for."""
    try:
        problem = answer.json()
        detail = str(problem["detail"])
        faults = [Fault(str(each["pointer"]), str(each["detail"])) for each in problem.get("errors", [])]
    except (ValueError, KeyError, TypeError, AttributeError):  # a proxy's page
        detail, faults = f"HTTP {answer.status_code} {answer.reason_phrase}", []
    status = answer.status_code
    return error_class(status)(status, detail, faults, retry_after_s(answer))


def retry_after_s(answer: httpx.Response) -> float | None:
    """What `Retry-After` says, a number of seconds or a date, in seconds from now; None where it says nothing."""
    said: str = answer.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None


def _is_done(method: str, answer: httpx.Response, *, repeated: bool) -> bool:
    if repeated and method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND:
        return True  # the try before did it, and its answer was lost
    return answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED


def _pause(error: Unreachable | Refused, attempt: int, *, resumed: bool) -> float | None:
    """Seconds until it pays to repeat the call; None where it does not."""
    backoff = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    if isinstance(error, Unreachable):
        return backoff
    # The first try, or that of a run before, may still be in work under the same Idempotency-Key.
    if isinstance(error, Conflict) and (attempt or resumed):
        return backoff
    if error.status not in PASSING:
        return None
    return max(backoff, error.retry_after_s or 0.0)


def _checked(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Misconfigured(f"{url!r} is not an address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Misconfigured(f"{url!r} is not an address such as http://127.0.0.1:5000")
    return parsed


def _visible(api_key: str) -> str:
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise Misconfigured("the API key has characters that no key has")
    return api_key
