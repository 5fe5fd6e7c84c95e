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

#: Libraries that write a line for each message or request; ours says what was done for it.
CHATTY = ("celery.app.trace", "celery.worker.strategy", "httpx")

#: Run over every record, whoever wrote it.
SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure() -> None:
    """Send the records of every logger to standard error. A second call changes nothing."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(readable=sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def formatter(*, readable: bool) -> logging.Formatter:
    """Lines for people, coloured unless `NO_COLOR` is set, or JSON, with a traceback as one text under `exception`."""
    last: list[Processor]
    if readable:
        # A traceback without the values of variables, which the default has: a secret may be one of them.
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, exception_formatter=plain)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=SHARED, processors=[remove, *last])


def job_context(job_id: str, request_id: str | None, **more: str) -> AbstractContextManager[None]:
    """Let the lines of this thread name the job, and the request that made it, while the block runs."""
    known = {"request_id": request_id} if request_id else {}
    return structlog.contextvars.bound_contextvars(job_id=job_id, **known, **more)
