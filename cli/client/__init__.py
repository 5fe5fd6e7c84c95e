"""The Python client (`from darkroom import Client`); the command line is built on it."""

from cli.client.client import Client
from cli.client.errors import (
    Changed,
    ClientError,
    Conflict,
    Invalid,
    Misconfigured,
    NotAllowed,
    NotFound,
    NotSent,
    Refused,
    TimedOut,
    Unavailable,
    Unreachable,
)

__all__ = [
    "Changed",
    "Client",
    "ClientError",
    "Conflict",
    "Invalid",
    "Misconfigured",
    "NotAllowed",
    "NotFound",
    "NotSent",
    "Refused",
    "TimedOut",
    "Unavailable",
    "Unreachable",
]
