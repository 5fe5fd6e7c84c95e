"""Logging of every program to standard error: JSON lines, or text if that is a terminal.

Each line has the fields of `job_context` and the record's `extra`. Keys, query strings and bodies are never logged.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import AbstractContextManager

import structlog
from structlog.typing import Processor

#: Loggers that write a line for each message or request; our own lines say more.
VERBOSE_LOGGERS = ("celery.app.trace", "celery.worker.strategy", "httpx")

#: Processors of every record.
PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """Send the records of all loggers to standard error. Idempotent."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(readable=sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(*, readable: bool) -> logging.Formatter:
    """Return a formatter for text, coloured unless `NO_COLOR` is set, or for JSON with tracebacks in `exception`."""
    last: list[Processor]
    if readable:
        # The default traceback shows the values of variables, which may be secret.
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, exception_formatter=plain)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=PROCESSORS, processors=[remove, *last])


def job_context(job_id: str, request_id: str | None, **more: str) -> AbstractContextManager[None]:
    """Add the ids of the job and of the request that created it to the log lines of this thread, during the block."""
    known = {"request_id": request_id} if request_id else {}
    return structlog.contextvars.bound_contextvars(job_id=job_id, **known, **more)


def with_cause(error: BaseException) -> str:
    """Return an error and the first line of its cause, which names what callers must not see, such as an address."""
    cause = str(error.__cause__ or "").strip().partition("\n")[0][:300]
    return f"{error} ({cause})" if cause and cause not in str(error) else str(error)
