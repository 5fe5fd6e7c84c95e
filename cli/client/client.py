"""`Client`: the HTTP API for Python programs."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

from cli.address import url_from
from cli.client import sending, watching
from cli.client.calls import Json, given
from cli.client.datasets import DatasetCalls
from cli.client.errors import NotSent, Unreachable
from cli.client.files import File, Source, find
from cli.client.sending import Sent
from cli.client.transport import Transport, job_path, json_of
from cli.client.watching import ProgressCallback

#: Environment variable of the client; `shared/settings.py` lists it too.
API_KEY_VARIABLE = "DARKROOM_API_KEY"
#: Seconds for which a call is retried after temporary errors, and for which one request waits for an export.
RETRY_S, WAIT_S = 60.0, 30


def no_progress(_job: Json) -> None:
    """Ignore progress."""


class Client(DatasetCalls):
    """Client of a running Darkroom: classifies pictures, trains models and manages both.

        with Client() as darkroom:
            for item in darkroom.classify("holiday/"):
                print(item["filename"], item["predictions"])

    Jobs, Items, models and Datasets are dictionaries, as `/docs` of the service describes them: times in RFC 3339 UTC,
    scores in [0, 1], durations in seconds, sizes in bytes. Temporary errors (a broken connection, 429, 502, 503, 504)
    are retried with exponential backoff, or after `Retry-After`; a retry has no second effect. Every method raises
    Unreachable if there is no response and Refused if the service responds with an error; see `cli/client/errors.py`. A
    client is thread-safe.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None, *, retry_s: float = RETRY_S) -> None:
        """Create a client without connecting. Raises Misconfigured.

        `url` defaults to DARKROOM_URL, or the address at which `darkroom up` listens: http://127.0.0.1:5000, unless
        DARKROOM_PORT or DARKROOM_HOST say otherwise. `api_key` defaults to DARKROOM_API_KEY or none. A call is retried
        for up to `retry_s` seconds.
        """
        self._transport = Transport(url or url_from(os.environ), api_key or os.environ.get(API_KEY_VARIABLE), retry_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Calls that wait for a retry fail."""
        self._transport.close()

    @property
    def url(self) -> str:
        """Return the address of the service."""
        return str(self._transport.url)

    def ping(self) -> None:
        """Raise Unreachable unless Darkroom answers. Not retried."""
        answer = self._transport.once("GET", "/healthz")
        if not (answer.is_success and answer.headers.get("Content-Type") == "application/json"):
            raise Unreachable(f"the server at {self.url} is not Darkroom")

    # Pictures

    def classify(
        self,
        sources: Source | Iterable[Source],
        *,
        metadata: Any = None,
        webhook: str | None = None,
        classifier: str | None = None,
        names: str | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[Json]:
        """Send pictures, and return an iterator over the Items as they finish.

        Sends everything before it returns; `sources` and errors are those of `submit`. The iterator raises TimedOut if
        the job has not finished after `timeout_s` more seconds; the job keeps running.
        """
        job = self.submit(sources, metadata=metadata, webhook=webhook, classifier=classifier, names=names)
        return self.results(job["id"], timeout_s=timeout_s)

    def submit(
        self,
        sources: Source | Iterable[Source],
        *,
        metadata: Any = None,
        webhook: str | None = None,
        classifier: str | None = None,
        names: str | None = None,
    ) -> Json:
        """Send pictures as one job, and return the Job without waiting for results.

        A source is the path of a picture, an archive (`.zip`, `.tar`, `.tar.gz` and the like) or a folder; the bytes of
        a picture or an archive; or a pair of a name and bytes. Folders are sent recursively without hidden files, files
        that are not images, and files that systems and photo programs add. A picture that cannot be decoded becomes a
        failed Item. `metadata` (JSON) is stored with the job; `webhook` is a URL to call when it ends,
        `classifier` the name of the one to use instead of `cifar10`. `names` is the
        encoding of names in archives that do not say it, such as `cp932`; it is guessed by default, and
        `guessed_encodings` of the Job says so. Raises NotSent if there is nothing to send or a file is rejected, and
        OSError for a source that cannot be read; the job is cancelled then.
        """
        job = self.open_job(metadata=metadata, webhook=webhook, classifier=classifier)
        return self._fill(job["id"], find(_listed(sources)), names)

    def import_pictures(
        self,
        dataset: str,
        sources: Source | Iterable[Source],
        *,
        label: str | None = None,
        flat: bool = False,
        metadata: Any = None,
        webhook: str | None = None,
        names: str | None = None,
    ) -> Json:
        """Send pictures into a Dataset, and return the import's Job without waiting for its end.

        The Label of a picture is `label`, or what `labels.csv` in the folder or archive says, or the name of the folder
        that holds it unless `flat`. Its Item has an `outcome`: `added`, `present`, or `conflict` if the Dataset has the
        same bytes under another Label. `sources`, the other arguments and errors are those of `submit`.
        """
        job = self.open_import(dataset, label=label, flat=flat, metadata=metadata, webhook=webhook)
        return self._fill(job["id"], find(_listed(sources), relative=True), names)

    def open_job(self, *, metadata: Any = None, webhook: str | None = None, classifier: str | None = None) -> Json:
        """Open a job without items, for `send` and `seal`, and return it. Work begins with the first item."""
        return self._post(
            "/v1/jobs", given(kind="classification", metadata=metadata, webhook=webhook, classifier=classifier)
        )

    def send(
        self, job_id: str, files: Iterable[File], present: Collection[str] = (), *, names: str | None = None
    ) -> Iterator[Sent]:
        """Send files to an open job, a few requests at a time, and yield the outcome of each file.

        Files whose keys are in `present` are skipped: pass `keys` to resume an upload. Only a few batches of `files`
        are in memory at a time.
        """
        return sending.send(self._transport, job_id, files, present, names)

    def keys(self, job_id: str) -> Iterator[str]:
        """Return the keys of all items of a job, oldest first."""
        path, query = job_path(job_id, "items"), {"fields": "key", "limit": 1000}
        return (entry["key"] for entry in self._pages(path, query))

    def skipped(self, job_id: str) -> Iterator[Json]:
        """Return the files in archives that were skipped, as `archive` and `filename`."""
        return self._pages(job_path(job_id, "skipped"), {"limit": 1000})

    def seal(self, job_id: str) -> Json:
        """Seal a job: it accepts no more items and ends when all are done. Raises Conflict if it has none."""
        return self._post(job_path(job_id, "seal"))

    # Jobs of any kind

    def job(self, job_id: str, *, wait_s: int = 0) -> Json:
        """Return a Job; with `wait_s` (at most 30), after its next change or that many seconds."""
        return self._get(job_path(job_id), {"wait": wait_s})

    def jobs(self, *, kind: str | None = None, state: str | None = None) -> Iterator[Json]:
        """Return all Jobs, newest first, read page by page."""
        return self._pages("/v1/jobs", given(kind=kind, state=state))

    def watch(self, job_id: str, *, timeout_s: float | None = None) -> Iterator[Json]:
        """Yield the Job now and after each change until it is done. Raises TimedOut after `timeout_s`."""
        return watching.watch(self._transport, job_id, timeout_s)

    def wait(self, job_id: str, timeout_s: float | None = None) -> Json:
        """Wait until the Job is done, and return it. Raises TimedOut after `timeout_s`; the job keeps running."""
        return next(job for job in self.watch(job_id, timeout_s=timeout_s) if job["done"])

    def results(
        self, job_id: str, *, timeout_s: float | None = None, progress: ProgressCallback = no_progress
    ) -> Iterator[Json]:
        """Yield each Item once, as it finishes, until the job is done. Raises TimedOut after `timeout_s`.

        `progress` is called with the Job at the start and after each change.
        """
        return watching.results(self._transport, job_id, timeout_s, progress)

    def heatmap(self, job_id: str, key: str, *, label: str | None = None) -> bytes:
        """Return where the version looked in a classified picture, as a half transparent PNG to lay over it.

        `label` is the name or the index of a label; by default the one with the best score. Raises Conflict if the Item
        is not classified, Invalid for an unknown label.
        """
        path = job_path(job_id, "items", quote(key, safe=""), "heatmap")
        return self._transport.call("GET", path, params=given(label=label)).content

    def cancel(self, job_id: str) -> Json:
        """Cancel a job, and return it. Finished results are kept; a job that has ended is not changed."""
        return self._post(job_path(job_id, "cancel"))

    def retry(self, job_id: str) -> Json:
        """Queue the failed and cancelled items, or the training, again. Raises Conflict if there are none."""
        return self._post(job_path(job_id, "retry"))

    def delete(self, job_id: str) -> None:
        """Delete the job, its results and its pictures. Raises Conflict if it has not ended."""
        self._transport.call("DELETE", job_path(job_id))

    # Trainings

    def train(self, *, metadata: Any = None, webhook: str | None = None, **params: Any) -> Json:
        """Queue a training, and return its Job. `presets` lists the `params`; Invalid names each wrong one."""
        wanted = {"kind": "training", "params": params, "metadata": metadata, "webhook": webhook}
        return self._post("/v1/jobs", wanted)

    def presets(self) -> Json:
        """Return the presets (`data`) with their parameters and cost, and the parameters `common` to all."""
        return self._get("/v1/presets")

    def metrics(
        self, job_id: str, *, timeout_s: float | None = None, progress: ProgressCallback = no_progress
    ) -> Iterator[Json]:
        """Yield the metrics of a training, row by row, until it is done. Raises TimedOut after `timeout_s`.

        `progress` is called with the Job at the start and after each change.
        """
        return watching.metrics(self._transport, job_id, timeout_s, progress)

    def finish(self, job_id: str) -> Json:
        """End a training early and publish its best model so far."""
        return self._post(job_path(job_id, "finish"))

    # Models

    def models(self, *, classifier: str | None = None) -> list[Json]:
        """Return the cards of all versions, or those of one classifier, newest first."""
        return list(self._get("/v1/models", given(classifier=classifier))["data"])

    def model(self, version: str) -> Json:
        """Return the card of a version."""
        return self._get(f"/v1/models/{quote(version, safe='')}")

    def compare(self, first: str, second: str) -> Json:
        """Compare the second version with the first, on the same test images."""
        return self._get("/v1/models/compare", {"versions": f"{first},{second}"})

    def champion(self) -> Json:
        """Return which version serves new jobs: `version`, `since`, `previous`, and `etag` for `promote`."""
        answer = self._transport.call("GET", "/v1/models/aliases")
        return {**json_of(answer)["champion"], "etag": answer.headers["ETag"]}

    def promote(self, version: str, *, classifier: str | None = None, etag: str = "*") -> Json:
        """Make a version the champion, and return that; or of the `classifier`, and return the classifier.

        With the `etag` of `champion`, or of `classifier`, raises Changed if it has changed since.
        """
        headers, wanted = {"If-Match": etag}, {"version": version}
        if classifier is not None:
            path = f"/v1/classifiers/{quote(classifier, safe='')}/champion"
            return self._transport.json("PUT", path, headers=headers, json=wanted)
        answer = self._transport.json("PUT", "/v1/models/aliases/champion", headers=headers, json=wanted)
        return dict(answer["champion"])

    def classifiers(self) -> list[Json]:
        """Return the classifiers that ship with Darkroom, and those of the key's owner."""
        return list(self._get("/v1/classifiers")["data"])

    def classifier(self, name: str) -> Json:
        """Return a classifier: its labels, its champion, and the `etag` for `promote`."""
        answer = self._transport.call("GET", f"/v1/classifiers/{quote(name, safe='')}")
        return {**json_of(answer), "etag": answer.headers["ETag"]}

    def delete_classifier(self, name: str) -> None:
        """Delete a classifier of one's own. Its versions stay."""
        self._transport.call("DELETE", f"/v1/classifiers/{quote(name, safe='')}")

    def import_model(
        self,
        path: str | os.PathLike[str],
        *,
        labels: Sequence[str] | None = None,
        value_range: Literal["0-255", "0-1", "-1..1", "imagenet", "imagenet-bgr"] | None = None,
        scale: float | Sequence[float] | None = None,
        offset: float | Sequence[float] | None = None,
        channels: Literal["RGB", "BGR"] | None = None,
        resize: Literal["squash", "crop"] | None = None,
        name: str | None = None,
        classifier: str | None = None,
    ) -> Json:
        """Import a model file, and return the card of its version. Raises Invalid if the file is refused.

        It may be of Keras, ONNX or TFLite, or a zip archive with one of these, with a SavedModel, or with OpenVINO's
        .xml and .bin. The version belongs to `classifier`; by default to `cifar10` if its labels are that one's, else
        to a new one that is called as the file.

        `labels` are in the order of the model's outputs, and default to those in the file or its archive, or to
        CIFAR-10's if there are ten. `value_range` says
        which pixel values the model takes; it is detected by default, and `notes` of the card says how. Any other
        linear map of the values 0 to 255 is `value × scale + offset`, for all channels or for red, green and blue.
        `resize` says whether the network sees the whole picture, squashed, or a part in the middle.
        """
        lists = {"labels": labels and list(labels), "scale": scale, "offset": offset}
        words: dict[str, str | None] = {"value_range": value_range, "channels": channels, "resize": resize}
        texts = words | {"name": name, "classifier": classifier}
        fields = {field: json.dumps(value) for field, value in lists.items() if value is not None}
        fields |= {field: value for field, value in texts.items() if value}
        with Path(path).open("rb") as file:
            parts = {"file": (Path(path).name, file, "application/octet-stream")}
            return self._transport.json("POST", "/v1/models", data=fields, files=parts)

    def export_model(
        self,
        version: str,
        path: str | os.PathLike[str],
        *,
        format: Literal["onnx", "litert", "openvino", "keras"],  # noqa: A002  # as in HTTP
    ) -> None:
        """Write a version to a new zip file for other programs; the first time, wait until it is made.

        The zip has the network in this format, the labels, and a program that answers as Darkroom does. Raises
        FileExistsError, and Conflict if the format cannot express the network. Not retried: if the connection breaks,
        no file is left.
        """
        url = f"/v1/models/{quote(version, safe='')}/export"
        self._save(path, url, params={"format": format}, headers={"Prefer": f"wait={WAIT_S}"})

    def _fill(self, job_id: str, files: Iterable[File], names: str | None) -> Json:
        """Send the files to an open job, and seal it. Raises NotSent and OSError; the job is cancelled then."""
        try:
            for sent in self.send(job_id, files, names=names):
                if sent.problem:
                    raise NotSent(f"{sent.name}: {sent.problem}")
            if not self.job(job_id)["counts"]["total"]:
                raise NotSent("none of the files is a picture")
            return self.seal(job_id)
        except (NotSent, OSError):
            self.cancel(job_id)
            raise


def _listed(sources: Source | Iterable[Source]) -> Iterable[Source]:
    """Return a list of sources. A pair of a name and bytes is one source."""
    if isinstance(sources, str | bytes | os.PathLike):
        return [sources]
    if isinstance(sources, tuple) and len(sources) == 2 and isinstance(sources[1], bytes):
        return [sources]  # type: ignore[list-item]  # the first is a name, else it would not be a pair
    return sources
