"""`from darkroom import Client` in the project's folder: the Python client and its errors."""

from cli import client
from cli.client import *  # noqa: F403 - it has `__all__`

__all__ = client.__all__
