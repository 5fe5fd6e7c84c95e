"""Addresses of the service."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

#: Address and port of the service in its default settings.
HOST, PORT = "127.0.0.1", 5000


def authority(host: str, port: int | str) -> str:
    """Return host and port as in a URL (RFC 3986, 3.2): an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def local_url(host: str, port: int | str) -> str:
    """Return the URL of a service that listens on `host`, for clients on its machine."""
    return f"http://{authority(HOST if host in ('0.0.0.0', '::') else host, port)}"  # noqa: S104 - a comparison


def url_from(environ: Mapping[str, str]) -> str:
    """Return DARKROOM_URL, else the address at which `darkroom up` would listen with this environment."""
    host, port = environ.get("DARKROOM_HOST") or HOST, environ.get("DARKROOM_PORT") or PORT
    return environ.get("DARKROOM_URL") or local_url(host, port)


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine, which no proxy can reach: all of 127.0.0.0/8, ::1 or localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
