"""The calls of the API: each method of each route whose view describes itself."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from web.openapi.operation import Operation

#: Problems that any call may answer: its head is malformed, its address or its headers are too long.
UNREADABLE = {400, 414, 431}
#: Those of any call under /v1: no key, one without the right, a parameter that is wrong or unknown, too many requests,
#: Redis not reached.
VERSIONED = {401, 403, 422, 429, 503}
#: Problems of a call that takes a body: it is too long, or of another type.
WITH_BODY = {413, 415}


@dataclass(frozen=True)
class Call:
    """One method of one address, and what its view says of itself."""

    method: str
    path: str
    view: Any
    operation: Operation

    @property
    def module(self) -> str:
        """The module that the view is in."""
        return str(self.view.__module__.rpartition(".")[2])

    @property
    def module_about(self) -> str:
        """What that module says of itself, in a line."""
        return (sys.modules[self.view.__module__].__doc__ or "").partition("\n")[0]

    @property
    def id(self) -> str:
        """A name for programs that are made of the document."""
        return "_".join(dict.fromkeys([self.module, self.view.__name__]))

    @property
    def about(self) -> tuple[str, str]:
        """Summary and description."""
        summary, _, description = inspect.cleandoc(self.view.__doc__ or "").partition("\n\n")
        return " ".join(summary.split()).removesuffix("."), description

    @property
    def arguments(self) -> list[str]:
        """The names of the path's variable parts."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def versioned(self) -> bool:
        """Whether it is one of the API proper; the service's health is asked for without a key."""
        return self.path.startswith("/v1/")

    @property
    def repeatable(self) -> bool:
        """Whether it heeds `Idempotency-Key`."""
        return self.versioned and self.method == "post"

    @property
    def refuses(self) -> list[int]:
        """Statuses of the problems that it may answer."""
        found = UNREADABLE | set(self.operation.refuses)
        found |= VERSIONED if self.versioned else set()
        found |= WITH_BODY if self.operation.body else set()
        found |= {404} if self.arguments else set()
        found |= {409} if self.repeatable else set()
        return sorted(found - set(self.operation.answers))


def calls(app: Flask) -> Iterator[Call]:
    """Every call in the order of the paths, the API proper first."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (not rule.rule.startswith("/v1/"), rule.rule)):
        view = app.view_functions[rule.endpoint]
        operation = getattr(view, "operation", None)
        if operation is not None:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Call(method.lower(), path(rule), view, operation)


def path(rule: Rule) -> str:
    """`/v1/jobs/<job_id>` → `/v1/jobs/{job_id}`."""
    return re.sub(r"<(?:[^<>:]+:)?(\w+)>", r"{\1}", rule.rule)
