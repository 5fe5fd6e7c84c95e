"""The environment variables of S3, checked before obstore reads them: it panics, or fails without saying why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

#: Variables with the address of an S3 server.
ADDRESSES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
#: Values of AWS_ALLOW_HTTP with which obstore uses an address without TLS.
YES = {"1", "true", "on", "yes", "y"}


def check_variables(environ: Mapping[str, str]) -> None:
    """Raise ValueError, in a line that names the variable, for an address that cannot be used."""
    for name in ADDRESSES:
        if (address := environ.get(name)) is None:
            continue
        if not _is_address(address):
            raise ValueError(f"{name}={address!r} is not like https://s3.example or http://host:9000")
        if address.startswith("http:") and environ.get("AWS_ALLOW_HTTP", "").lower() not in YES:
            raise ValueError(f"{name}={address!r} is without TLS: allow that with AWS_ALLOW_HTTP=true")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not re.search(r"\s", text)
        )
    except ValueError:  # a port beyond 65535
        return False
