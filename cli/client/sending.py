"""Send files to an open job: many small ones in a request, a few requests at a time."""

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

#: Files, and bytes, in one request. What is in memory is at most this for each request; a bigger file is sent alone and
#: read as it is sent.
BATCH_FILES, BATCH_BYTES = 64, 4 * 1024 * 1024
#: Requests at a time: enough to keep the service busy, and a quarter of the threads that one web process has.
AT_ONCE = 4

Work = TypeVar("Work")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Sent:
    """What became of one file: how many items it made (an archive makes many), or the `problem` why it made none."""

    name: str
    bytes: int
    items: int
    problem: str | None = None


def send(transport: Transport, job_id: str, files: Iterable[File], present: Collection[str] = ()) -> Iterator[Sent]:
    """Send the files, but for those whose keys are `present`; what became of each, in their order.

    Raises Unreachable and Refused.
    """
    wanted = (file for file in files if file.key not in present)
    for sent in in_parallel(lambda batch: _send(transport, job_id, batch), batches(wanted), AT_ONCE):
        yield from sent


def batches(files: Iterable[File]) -> Iterator[list[File]]:
    """The files as they go into requests: an archive, or a big file, alone. Of two with the same key one counts."""
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
    """The results in the order of the work, of which no more is taken up than is being done."""
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


def _send(transport: Transport, job_id: str, batch: list[File]) -> list[Sent]:
    with ExitStack() as opened:
        problems: list[Sent] = []
        contents: list[tuple[File, IO[bytes] | bytes]] = []
        for file in batch:
            try:
                contents.append((file, _content(file, opened)))
            except OSError as error:
                problems.append(Sent(file.name, 0, 0, error.strerror or str(error)))
        try:
            return problems + (_post(transport, job_id, contents) if contents else [])
        except Invalid as error:
            if len(batch) > 1:
                raise
            return [Sent(batch[0].name, 0, 0, str(error))]


def _content(file: File, opened: ExitStack) -> IO[bytes] | bytes:
    """The bytes of a small file; a big one, or an archive, opened."""
    content = opened.enter_context(file.open())
    if file.archive or file.size > BATCH_BYTES:
        return content
    with content:
        return content.read()


def _post(transport: Transport, job_id: str, contents: list[tuple[File, IO[bytes] | bytes]]) -> list[Sent]:
    path = job_path(job_id, "items")
    files = [file for file, _ in contents]
    parts = [("files", (_utf8(file.name), content, "application/octet-stream")) for file, content in contents]
    if files[0].archive:  # what is in it has no keys: the request as a whole has one, also when the upload is resumed
        header = {"Idempotency-Key": f"{job_id}-{files[0].key}"}
        answers = transport.json("POST", path, headers=header, files=parts)["data"]
        problem = next((_rejection(answer) for answer in answers if _rejection(answer)), None)
        return [Sent(files[0].name, files[0].size, sum(not _rejection(answer) for answer in answers), problem)]
    keys = {"keys": json.dumps([file.key for file in files])}
    answers = transport.json("POST", path, repeatable=True, data=keys, files=parts)["data"]
    problems = [_rejection(answer) for answer in answers]
    return [Sent(file.name, file.size, not why, why) for file, why in zip(files, problems, strict=True)]


def _rejection(answer: dict[str, Any]) -> str | None:
    """Why an item is not in the job. One that failed is: its result says why."""
    return str(answer["error"]["detail"]) if answer["state"] == "rejected" else None


def _utf8(name: str) -> str:
    """A file's name as it can be sent; bytes in it that are no UTF-8 are replaced."""
    return name.encode(errors="surrogateescape").decode(errors="replace")
