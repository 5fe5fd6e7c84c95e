"""Darkroom's client for Python programs, which `from darkroom import Client` gives; the command line is built on it."""

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
