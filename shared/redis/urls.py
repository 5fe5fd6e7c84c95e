"""URLs of Redis servers: checked before anything connects, since redis-py and kombu guess what they cannot read."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

#: An example for errors.
EXAMPLE = "redis://:PASSWORD@host:6379/0"
#: Options of TLS, which redis-py and kombu read alike. No other option means the same to both.
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
CHOICES = {"ssl_cert_reqs": ("required", "optional", "none"), "ssl_check_hostname": ("true", "false")}
ESCAPES = "escape special characters in the password: %23 for #, %2F for /, %3F for ?, %3B for ;, %5B for ["


def check_url(url: str) -> str:
    """Return `url` if both clients read it as it is meant. Raise ValueError, which never shows a password."""
    if not re.match("rediss?://", url):
        raise ValueError(f"is not like {EXAMPLE}; rediss:// uses TLS, unix:// and sentinel:// are not supported")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port = 0
    # Characters that end the password early, that kombu splits at, or that urlsplit drops.
    if port == 0 or parts.fragment or "@" in parts.path + parts.query or re.search(r"[;\s\x00-\x1f\x7f]", url):
        raise ValueError(f"cannot be read as a URL: {ESCAPES}" if "@" in url else f"is not like {EXAMPLE}")
    if not re.fullmatch("/?|/[0-9]+", parts.path):
        raise ValueError("must end in the number of a database, such as /0")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        _check_option(parts.scheme, name, value)
    return url


def next_database(url: str) -> str:
    """Return the URL of the server's next database: `redis://host/0` → `redis://host/1`."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{int(parts.path.lstrip('/') or 0) + 1}"))


def verifying(url: str) -> str:
    """Return `url` for Celery, which verifies no certificate unless the URL says so. redis-py does by default."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme == "rediss":
        options.setdefault("ssl_cert_reqs", "required")
    return urlunsplit(parts._replace(query=urlencode(options)))


def _check_option(scheme: str, name: str, value: str) -> None:
    if name == "db":
        raise ValueError("has the option db: write the number of the database at the end of the path, such as /1")
    if name not in TLS_OPTIONS:
        raise ValueError(f"has the unknown option {name!r}; there are {', '.join(TLS_OPTIONS)}")
    if scheme != "rediss":
        raise ValueError(f"has the option {name}, which needs TLS: rediss://")
    if wrong := _wrong_choice(name, value) or _wrong_file(name, value):
        raise ValueError(f"{name}={value!r}: {wrong}")


def _wrong_choice(name: str, value: str) -> str | None:
    choices = CHOICES.get(name, (value,))
    return None if value in choices else f"it must be {' or '.join(choices)}"


def _wrong_file(name: str, value: str) -> str | None:
    if name in CHOICES:
        return None
    if not value.startswith("/"):
        return "it must be an absolute path"
    try:
        if name == "ssl_ca_certs":
            ssl.create_default_context(cafile=value)
        else:
            Path(value).open("rb").close()
    except ssl.SSLError:
        return "there is no certificate in this file"
    except OSError as error:
        return error.strerror
    return None
