"""The calls of the API: each method of each route whose view has an `@operation`."""

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

#: Problem statuses of any call: malformed request, URL or headers too long.
ANY_CALL = {400, 414, 431}
#: Problem statuses of any call under /v1: no key, key not allowed, wrong or unknown parameter, too many requests, Redis
#: unreachable.
VERSIONED = {401, 403, 422, 429, 503}
#: Problem statuses of a call with a body: too large, or not an accepted content type.
WITH_BODY = {413, 415}


@dataclass(frozen=True)
class Call:
    """One method of one path, with its view and the view's description."""

    method: str
    path: str
    view: Any
    operation: Operation

    @property
    def module(self) -> str:
        """Return the name of the view's module."""
        return str(self.view.__module__.rpartition(".")[2])

    @property
    def module_summary(self) -> str:
        """Return the first line of the module's docstring."""
        return (sys.modules[self.view.__module__].__doc__ or "").partition("\n")[0]

    @property
    def id(self) -> str:
        """Return the `operationId`, from which generated clients take their names."""
        return "_".join(dict.fromkeys([self.module, self.view.__name__]))

    @property
    def texts(self) -> tuple[str, str]:
        """Return the summary and the description, from the view's docstring."""
        summary, _, description = inspect.cleandoc(self.view.__doc__ or "").partition("\n\n")
        return " ".join(summary.split()).removesuffix("."), description

    @property
    def arguments(self) -> list[str]:
        """Return the names of the path parameters."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def versioned(self) -> bool:
        """Return whether the call is part of the API; health checks and metrics are not."""
        return self.path.startswith("/v1/")

    @property
    def idempotent(self) -> bool:
        """Return whether the call supports `Idempotency-Key`."""
        return self.versioned and self.method == "post"

    @property
    def problems(self) -> list[int]:
        """Return the statuses of the problems that the call may return."""
        found = ANY_CALL | set(self.operation.problems)
        found |= VERSIONED if self.versioned else set()
        found |= WITH_BODY if self.operation.body else set()
        found |= {404} if self.arguments else set()
        found |= {409} if self.idempotent else set()
        return sorted(found - set(self.operation.responses))


def calls(app: Flask) -> Iterator[Call]:
    """Yield every call in the order of the paths, those under /v1 first."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: (not rule.rule.startswith("/v1/"), rule.rule)):
        view = app.view_functions[rule.endpoint]
        operation = getattr(view, "operation", None)
        if operation is not None:
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Call(method.lower(), path(rule), view, operation)


def path(rule: Rule) -> str:
    """Return a rule's path in OpenAPI's form: `/v1/jobs/<job_id>` → `/v1/jobs/{job_id}`."""
    return re.sub(r"<(?:[^<>:]+:)?(\w+)>", r"{\1}", rule.rule)
