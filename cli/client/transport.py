"""HTTP calls, retried after temporary errors."""

from __future__ import annotations

import email.utils
import itertools
import os
import random
import secrets
import ssl
import threading
import time
from typing import IO, Any
from urllib.parse import quote

import httpx

from cli.address import is_loopback
from cli.client.errors import Conflict, Fault, Misconfigured, Refused, Unreachable, error_class

#: Timeouts in seconds for connecting, and between two pieces of a response: a model import is answered within 55.
CONNECT_S, READ_S = 10.0, 75.0
#: Exponential backoff: seconds before the first retry and before any, less a random part of up to half.
FIRST_DELAY_S, MAX_DELAY_S = 0.25, 8.0
#: Statuses of temporary errors.
TEMPORARY = {429, 502, 503, 504}
#: Environment variables that httpx reads.
PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class Transport:
    """Calls the service at `url`. Temporary errors are retried for up to `retry_s` seconds.

    Retries are safe: a POST has an `Idempotency-Key`, and the other methods are idempotent.
    """

    def __init__(self, url: str, api_key: str | None, retry_s: float) -> None:
        self.url = _parse_url(url)
        self._retry_s = retry_s
        self._closed = threading.Event()
        headers = {"Authorization": f"Bearer {_check_key(api_key)}"} if api_key else {}
        try:
            self._http = httpx.Client(
                base_url=self.url,
                headers=headers,
                timeout=httpx.Timeout(READ_S, connect=CONNECT_S, pool=None),
                trust_env=not is_loopback(self.url.host),  # a proxy cannot reach this machine's loopback
                # Loading all certificates takes 25 ms, and plain HTTP needs none.
                verify=True if self.url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            )
        except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
            raise Misconfigured(_about_environment(error)) from error

    def close(self) -> None:
        """Close the connections. Calls that wait for a retry fail."""
        self._closed.set()
        self._http.close()

    def once(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send a request once, and return the response whatever its status. Raises Unreachable."""
        try:
            return self._http.request(method, path, **content)
        except httpx.TransportError as error:
            raise Unreachable(f"no response from {self.url}: {error or type(error).__name__}") from error

    def json(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        """Return the JSON object in the response to `call`. Raises Unreachable and Refused."""
        return json_of(self.call(method, path, **content))

    def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, idempotent: bool = False, **content: Any
    ) -> httpx.Response:
        """Send a request, with retries, and return a response of status 2xx or 304. Raises Unreachable and Refused.

        A POST gets an `Idempotency-Key`, unless it has one or is `idempotent` itself.
        """
        headers = dict(headers or {})
        resumed = "Idempotency-Key" in headers
        if method == "POST" and not idempotent:
            headers.setdefault("Idempotency-Key", secrets.token_hex(16))
        deadline = time.monotonic() + self._retry_s
        for attempt in itertools.count():
            try:
                answer = self.once(method, path, headers=headers, **content)
                if _succeeded(method, answer, repeated=attempt > 0):
                    break
                raise refusal(answer)
            except (Unreachable, Refused) as error:
                delay_s = _retry_delay_s(error, attempt, resumed=resumed)
                if delay_s is None or time.monotonic() + delay_s > deadline or self._closed.wait(delay_s):
                    raise
        return answer

    def download(self, path: str, file: IO[bytes], **content: Any) -> None:
        """Write the body of a response to `file`, as it arrives. Asks again while the service is making it (202).

        Not retried. Raises Unreachable and Refused.
        """
        try:
            while (delay_s := self._download(path, file, content)) is not None:
                if self._closed.wait(delay_s):
                    raise Unreachable("the client was closed during the download")
        except httpx.TransportError as error:
            raise Unreachable(f"the download broke off: {error or type(error).__name__}") from error

    def _download(self, path: str, file: IO[bytes], content: dict[str, Any]) -> float | None:
        """Return None if the body was written, or the seconds after which to ask again."""
        with self._http.stream("GET", path, **content) as answer:
            if not answer.is_success:
                answer.read()
                raise refusal(answer)
            if answer.status_code == httpx.codes.ACCEPTED:
                return retry_after_s(answer) or FIRST_DELAY_S
            for piece in answer.iter_bytes():
                file.write(piece)
        return None


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the JSON object in a response. Raises Unreachable if there is none, as in the page of a proxy."""
    try:
        return dict(answer.json())
    except (ValueError, TypeError) as error:
        raise Unreachable(f"the server at {answer.url} is not Darkroom") from error


def job_path(job_id: str, *more: str) -> str:
    """Return the path of a job, or below it. The id is escaped."""
    return "/".join(("/v1/jobs", quote(job_id, safe=""), *more))


def refusal(answer: httpx.Response) -> Refused:
    """Return the error for a response."""
    try:
        problem = answer.json()
        detail = str(problem["detail"])
        faults = [Fault(str(each["pointer"]), str(each["detail"])) for each in problem.get("errors", [])]
    except (ValueError, KeyError, TypeError, AttributeError):  # a proxy's page
        detail, faults = f"HTTP {answer.status_code} {answer.reason_phrase}", []
    status = answer.status_code
    return error_class(status)(status, detail, faults, retry_after_s(answer))


def retry_after_s(answer: httpx.Response) -> float | None:
    """Return the seconds until the time in `Retry-After`, which is a number or a date; None without it."""
    said: str = answer.headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return None


def _succeeded(method: str, answer: httpx.Response, *, repeated: bool) -> bool:
    if repeated and method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND:
        return True  # the attempt before has deleted it, and its response was lost
    return answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED


def _retry_delay_s(error: Unreachable | Refused, attempt: int, *, resumed: bool) -> float | None:
    """Return the seconds until a retry; None if a retry would not help."""
    backoff = min(MAX_DELAY_S, FIRST_DELAY_S * 2.0**attempt) * random.uniform(0.5, 1)  # noqa: S311 - no secret
    if isinstance(error, Unreachable):
        return backoff
    # The first attempt, or an earlier run, may still be in progress under the same Idempotency-Key.
    if isinstance(error, Conflict) and (attempt or resumed):
        return backoff
    if error.status not in TEMPORARY:
        return None
    return max(backoff, error.retry_after_s or 0.0)


def _parse_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Misconfigured(f"{url!r} is not a URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Misconfigured(f"{url!r} is not a URL such as http://127.0.0.1:5000")
    return parsed


def _about_environment(error: Exception) -> str:
    """Return what is wrong with the variables for proxies and certificates."""
    names = [name for name in PROXY_VARIABLES + CERTIFICATE_VARIABLES if os.environ.get(name)]
    reason = "SOCKS is not supported, only http:// and https://" if "socks" in str(error).lower() else error
    return f"the proxy or the certificates of this environment ({', '.join(names)}) cannot be used: {reason}"


def _check_key(api_key: str) -> str:
    if not (api_key.isascii() and api_key.isprintable()) or " " in api_key:
        raise Misconfigured("the API key contains characters that are not allowed in keys")
    return api_key
