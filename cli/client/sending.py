"""Send files to an open job: many small files in a request, a few requests at a time."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from cli.client.errors import Invalid
from cli.client.files import File
from cli.client.transport import Transport, job_path
from shared.domain.name_encodings import UNIX_ENCODINGS, decode_name, guess_encoding, is_utf8

#: Files and bytes in one request, which are in memory; a bigger file is streamed in a request of its own.
BATCH_FILES, BATCH_BYTES = 64, 4 * 1024 * 1024
#: Concurrent requests: enough to keep the service busy, and a quarter of the threads of one web process.
AT_ONCE = 4

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sent:
    """The outcome of one file: the number of items (an archive has many), or the `problem` if it was rejected."""

    name: str
    bytes: int
    items: int
    problem: str | None = None


def send(
    transport: Transport, job_id: str, files: Iterable[File], present: Collection[str] = (), names: str | None = None
) -> Iterator[Sent]:
    """Send the files whose keys are not in `present`, and yield their outcomes in order.

    `names` is the encoding of names in archives that do not say it.

    Raises Unreachable and Refused.
    """
    wanted = (file for file in files if file.key not in present)
    for sent in in_parallel(lambda batch: _send(transport, job_id, batch, names), batches(wanted), AT_ONCE):
        yield from sent


def batches(files: Iterable[File]) -> Iterator[list[File]]:
    """Yield the files of each request: an archive or a big file is alone; of equal keys only the first file is sent."""
    batch: dict[str, File] = {}
    size = 0
    for file in files:
        if file.archive or file.size > BATCH_BYTES:
            yield [file]
            continue
        if len(batch) == BATCH_FILES or size + file.size > BATCH_BYTES:
            yield list(batch.values())
            batch, size = {}, 0
        batch.setdefault(file.key, file)
        size += file.size
    if batch:
        yield list(batch.values())


def in_parallel(do: Callable[[Work], Result], work: Iterable[Work], at_once: int) -> Iterator[Result]:
    """Yield results in order. At most `at_once` items of `work` are read ahead."""
    pool = ThreadPoolExecutor(at_once)
    waiting: deque[Future[Result]] = deque()
    try:
        for each in work:
            waiting.append(pool.submit(do, each))
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _send(transport: Transport, job_id: str, batch: list[File], names: str | None) -> list[Sent]:
    with ExitStack() as opened:
        problems: list[Sent] = []
        contents: list[tuple[File, IO[bytes] | bytes]] = []
        for file in batch:
            try:
                contents.append((file, _content(file, opened)))
            except OSError as error:
                problems.append(Sent(file.name, 0, 0, error.strerror or str(error)))
        try:
            return problems + (_post(transport, job_id, contents, names) if contents else [])
        except Invalid as error:
            if len(batch) > 1:
                raise
            return [Sent(batch[0].name, 0, 0, str(error))]


def _content(file: File, opened: ExitStack) -> IO[bytes] | bytes:
    """Return the bytes of a small file, or an open big file or archive."""
    content = opened.enter_context(file.open())
    if file.archive or file.size > BATCH_BYTES:
        return content
    with content:
        return content.read()


def _post(
    transport: Transport, job_id: str, contents: list[tuple[File, IO[bytes] | bytes]], names: str | None
) -> list[Sent]:
    path = job_path(job_id, "items")
    files = [file for file, _ in contents]
    parts = [("files", (_utf8(file.name), content, "application/octet-stream")) for file, content in contents]
    if files[0].archive:  # its items have no keys, so the request has one, which is the same when the upload is resumed
        header = {"Idempotency-Key": f"{job_id}-{files[0].key}"}
        query = {"names": names} if names else {}
        answers = transport.json("POST", path, params=query, headers=header, files=parts)["data"]
        problem = next((_rejection(answer) for answer in answers if _rejection(answer)), None)
        return [Sent(files[0].name, files[0].size, sum(not _rejection(answer) for answer in answers), problem)]
    texts = {"keys": json.dumps([file.key for file in files])}
    if any(file.label for file in files):
        texts["labels"] = json.dumps([file.label for file in files])
    answers = transport.json("POST", path, idempotent=True, data=texts, files=parts)["data"]
    problems = [_rejection(answer) for answer in answers]
    return [Sent(file.name, file.size, not why, why) for file, why in zip(files, problems, strict=True)]


def _rejection(answer: dict[str, Any]) -> str | None:
    """Return why an item was rejected, or None. A failed item is part of the job; its result says why it failed."""
    return str(answer["error"]["detail"]) if answer["state"] == "rejected" else None


def _utf8(name: str) -> str:
    """Return a file's name, which old systems have stored in another encoding, such as Latin-1, as text."""
    raw = name.encode(errors="surrogateescape")
    return raw.decode() if is_utf8(raw) else decode_name(raw, guess_encoding([raw], UNIX_ENCODINGS))
