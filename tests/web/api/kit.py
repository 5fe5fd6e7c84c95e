"""Helpers for tests of the API over the app, without a server: calls with a person's key."""

from __future__ import annotations

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

#: Owners and the scopes of their keys.
PEOPLE = {"ann": "train", "bob": "train", "reader": "submit", "admin": "admin"}


def key(name: str) -> str:
    """Return a person's key."""
    return f"test_{name}_" + name[0] * 32


class Caller:
    """Calls the app with a person's key, below a path."""

    def __init__(self, app: Flask, name: str, root: str = "/v1/datasets") -> None:
        self._client: FlaskClient = app.test_client()
        self._root = root
        self._headers = {"Authorization": f"Bearer {key(name)}"}

    def __call__(
        self, method: str, path: str = "", status: int = 200, match: str | None = None, **options
    ) -> TestResponse:
        """Return the answer to a call, which must have this status. `match` is the `If-Match`."""
        headers = self._headers | options.pop("headers", {}) | ({"If-Match": match} if match else {})
        answer = self._client.open(f"{self._root}{path}", method=method, headers=headers, **options)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.content_type == "application/problem+json"
        return answer


def faults(answer: TestResponse) -> list[str]:
    """Return the pointers of a problem."""
    return [fault["pointer"] for fault in answer.json["errors"]]
