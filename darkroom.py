"""`from darkroom import Client`, in the project's folder: the client for Python programs, and its errors."""

from cli import client
from cli.client import *  # noqa: F403 - its `__all__`

__all__ = client.__all__
