"""`Client`: Darkroom's HTTP API for Python programs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from cli.client import sending, watching
from cli.client.errors import NotSent, Unreachable
from cli.client.files import File, Source, find
from cli.client.sending import Sent
from cli.client.transport import Transport, job_path, json_of
from cli.client.watching import Told

#: Environment variables that say where the service is, and which key to send. `shared/settings.py` knows them too.
URL_VARIABLE, API_KEY_VARIABLE = "DARKROOM_URL", "DARKROOM_API_KEY"
#: Where Darkroom listens where nobody says otherwise.
DEFAULT_URL = "http://127.0.0.1:5000"
#: Seconds for which a call is repeated where it fails for a reason that passes.
RETRY_S = 60.0

Json = dict[str, Any]


def ignore(_job: Json) -> None:
    """No progress is wanted."""


class Client:
    """Classifies pictures, trains models and manages both with a running Darkroom.

        with Client() as darkroom:
            for item in darkroom.classify("holiday/"):
                print(item["filename"], item["predictions"])

    Jobs, Items and models are dictionaries as `/docs` of the service describes them: times in RFC 3339 UTC, scores in
    [0, 1], durations in seconds, sizes in bytes. A call that fails for a reason that passes (the connection breaks,
    429, 502, 503, 504) is repeated, with growing pauses or after `Retry-After`; no repeat does a thing twice. Every
    method raises Unreachable where no answer comes and Refused where the service says no, see `cli/client/errors.py`.
    One client may be used by several threads.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None, *, retry_s: float = RETRY_S) -> None:
        """Connect to nothing yet. Raises Misconfigured.

        Where it is not given, `url` is DARKROOM_URL or http://127.0.0.1:5000, and `api_key` DARKROOM_API_KEY or none.
        `retry_s`: seconds for which one call is repeated at most.
        """
        url = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        self._transport = Transport(url, api_key or os.environ.get(API_KEY_VARIABLE), retry_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connections; what waits for a repeat of its call gives up."""
        self._transport.close()

    @property
    def url(self) -> str:
        """The address of the service."""
        return str(self._transport.url)

    def ping(self) -> None:
        """Return where a Darkroom answers; Unreachable where it does not. Not repeated."""
        answer = self._transport.once("GET", "/healthz")
        if not (answer.is_success and answer.headers.get("Content-Type") == "application/json"):
            raise Unreachable(f"what answers at {self.url} is not Darkroom")

    # Pictures

    def classify(
        self,
        sources: Source | Iterable[Source],
        *,
        metadata: Any = None,
        webhook: str | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[Json]:
        """Send pictures, and give each Item as it finishes.

        They are sent when this returns; `sources` and what it raises then are those of `submit`. The iterator raises
        TimedOut where the job is not over `timeout_s` after that; the job goes on.
        """
        job = self.submit(sources, metadata=metadata, webhook=webhook)
        return self.results(job["id"], timeout_s=timeout_s)

    def submit(self, sources: Source | Iterable[Source], *, metadata: Any = None, webhook: str | None = None) -> Json:
        """Send pictures as one job, and return the Job at once.

        A source is the path of a picture, of a `.zip`, `.tar` or `.tar.gz`, or of a folder; the bytes of a picture or
        an archive; or a pair of a name and bytes. Folders are sent with all that is in them, but for hidden files and
        those that are no pictures. A picture that cannot be decoded becomes a failed Item. `metadata` (JSON) is kept
        with the job; `webhook` is a URL that is called when it ends. Raises NotSent where there is nothing to send or
        the job cannot take a file, and OSError for a source that cannot be read; what was sent up to then is cancelled.
        """
        job_id = self.open_job(metadata=metadata, webhook=webhook)["id"]
        try:
            for sent in self.send(job_id, find(_listed(sources))):
                if sent.problem:
                    raise NotSent(f"{sent.name}: {sent.problem}")
            if not self.job(job_id)["counts"]["total"]:
                raise NotSent("there is no picture to send")
            return self.seal(job_id)
        except (NotSent, OSError):
            self.cancel(job_id)
            raise

    def open_job(self, *, metadata: Any = None, webhook: str | None = None) -> Json:
        """A new job without items, to be filled with `send` and ended with `seal`. Work begins with the first item."""
        return self._post("/v1/jobs", {"kind": "classification", "metadata": metadata, "webhook": webhook})

    def send(self, job_id: str, files: Iterable[File], present: Collection[str] = ()) -> Iterator[Sent]:
        """Send files to an open job while this is iterated over, a few requests at a time; what became of each file.

        Files whose keys are `present` are left out; those that `keys` gives need not be sent again. No more than some
        batches of `files` are held at a time.
        """
        return sending.send(self._transport, job_id, files, present)

    def keys(self, job_id: str) -> Iterator[str]:
        """The keys of all items that a job has, in the order in which they came."""
        path, query = job_path(job_id, "items"), {"fields": "key", "limit": 1000}
        return (entry["key"] for entry in self._pages(path, query))

    def seal(self, job_id: str) -> Json:
        """No more items come: the job ends when those that it has are done. Raises Conflict where it has none."""
        return self._post(job_path(job_id, "seal"))

    # Jobs of either kind

    def job(self, job_id: str, *, wait_s: int = 0) -> Json:
        """A Job; with `wait_s` (at most 30) when it has changed, or after so many seconds."""
        return self._get(job_path(job_id), {"wait": wait_s})

    def jobs(self, *, kind: str | None = None, state: str | None = None) -> Iterator[Json]:
        """All Jobs, newest first, read page by page."""
        query = {"kind": kind, "state": state}
        return self._pages("/v1/jobs", {name: value for name, value in query.items() if value})

    def watch(self, job_id: str, *, timeout_s: float | None = None) -> Iterator[Json]:
        """The Job now, and after each change, until it is done. Raises TimedOut after `timeout_s`."""
        return watching.watch(self._transport, job_id, timeout_s)

    def wait(self, job_id: str, timeout_s: float | None = None) -> Json:
        """The Job when it is done. Raises TimedOut after `timeout_s`; the job goes on."""
        return next(job for job in self.watch(job_id, timeout_s=timeout_s) if job["done"])

    def results(self, job_id: str, *, timeout_s: float | None = None, progress: Told = ignore) -> Iterator[Json]:
        """Each Item once, as it finishes, until the job is done. Raises TimedOut after `timeout_s`.

        `progress` is called with the Job at first, and after each change.
        """
        return watching.results(self._transport, job_id, timeout_s, progress)

    def cancel(self, job_id: str) -> Json:
        """Stop after what is in hand; what is finished stays. Nothing happens where the job is over."""
        return self._post(job_path(job_id, "cancel"))

    def retry(self, job_id: str) -> Json:
        """Queue the failed and cancelled items, or the training, again. Raises Conflict where there are none."""
        return self._post(job_path(job_id, "retry"))

    def delete(self, job_id: str) -> None:
        """Remove the job, its results and its pictures. Raises Conflict where it is not over."""
        self._transport.call("DELETE", job_path(job_id))

    # Trainings

    def train(self, *, metadata: Any = None, webhook: str | None = None, **params: Any) -> Json:
        """Queue a training, and return its Job. `params` are those of `presets`; Invalid names each that is wrong."""
        wanted = {"kind": "training", "params": params, "metadata": metadata, "webhook": webhook}
        return self._post("/v1/jobs", wanted)

    def presets(self) -> Json:
        """What can be trained: the presets (`data`) with parameters and cost, and the parameters `common` to all."""
        return self._get("/v1/presets")

    def metrics(self, job_id: str, *, timeout_s: float | None = None, progress: Told = ignore) -> Iterator[Json]:
        """The rows of a training as they come, until it is done. Raises TimedOut after `timeout_s`.

        `progress` is called with the Job at first, and after each change.
        """
        return watching.rows(self._transport, job_id, timeout_s, progress)

    def finish(self, job_id: str) -> Json:
        """End a training early, and keep the best model so far."""
        return self._post(job_path(job_id, "finish"))

    # Models

    def models(self) -> list[Json]:
        """The cards of all versions, newest first."""
        return list(self._get("/v1/models")["data"])

    def model(self, version: str) -> Json:
        """The card of a version."""
        return self._get(f"/v1/models/{quote(version, safe='')}")

    def compare(self, first: str, second: str) -> Json:
        """The second version against the first, on the same test images."""
        return self._get("/v1/models/compare", {"versions": f"{first},{second}"})

    def champion(self) -> Json:
        """What serves new jobs: `version`, `since`, `previous`, and the `etag` of this state for `promote`."""
        answer = self._transport.call("GET", "/v1/models/aliases")
        return {**json_of(answer)["champion"], "etag": answer.headers["ETag"]}

    def promote(self, version: str, *, etag: str = "*") -> Json:
        """Let a version serve new jobs. With the `etag` of `champion`, Changed where another was promoted meanwhile."""
        headers, wanted = {"If-Match": etag}, {"version": version}
        answer = self._transport.json("PUT", "/v1/models/aliases/champion", headers=headers, json=wanted)
        return dict(answer["champion"])

    def import_model(
        self,
        path: str | os.PathLike[str],
        *,
        labels: Sequence[str] | None = None,
        value_range: Literal["0-255", "0-1"] | None = None,
        name: str | None = None,
    ) -> Json:
        """Import a `.keras` or `.h5` file, and return the card of its version. Invalid says why a file is refused.

        `labels`, in the order of the model's outputs, may be left out where there are ten: CIFAR-10's. `value_range`
        of the pixels that it takes is found out where it is not given.
        """
        fields = {"labels": labels and json.dumps(list(labels)), "value_range": value_range, "name": name}
        given = {field: value for field, value in fields.items() if value}
        with Path(path).open("rb") as file:
            parts = {"file": (Path(path).name, file, "application/octet-stream")}
            return self._transport.json("POST", "/v1/models", data=given, files=parts)

    def _get(self, path: str, query: Json | None = None) -> Json:
        return self._transport.json("GET", path, params=query)

    def _post(self, path: str, body: Json | None = None) -> Json:
        return self._transport.json("POST", path, json=body)

    def _pages(self, path: str, query: Json) -> Iterator[Json]:
        while True:
            page = self._get(path, query)
            yield from page["data"]
            if not page["next"]:
                return
            query = {**query, "after": page["next"]}


def _listed(sources: Source | Iterable[Source]) -> Iterable[Source]:
    """One source is a list of one. A pair of a name and bytes is one source, too."""
    if isinstance(sources, str | bytes | os.PathLike):
        return [sources]
    if isinstance(sources, tuple) and len(sources) == 2 and isinstance(sources[1], bytes):
        return [sources]  # type: ignore[list-item]  # whose first is a name, or it would be no pair
    return sources
