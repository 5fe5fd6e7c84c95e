"""URLs of Redis servers: checked before anything connects, since redis-py and kombu guess what they cannot read.

`sentinel://[USER]:PASSWORD@HOST:PORT,HOST:PORT/DATABASE?master=NAME` is ours, and so is `sentinels://…` with TLS: the
clients have no URL for all of this.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

#: Examples for errors.
EXAMPLE = "redis://:PASSWORD@host:6379/0"
SENTINEL_EXAMPLE = "sentinel://:PASSWORD@host1:26379,host2:26379,host3:26379/0?master=NAME"
#: The beginning of a URL of Sentinels, with and without TLS, and their usual port.
SENTINEL, SENTINEL_TLS, SENTINEL_PORT = "sentinel://", "sentinels://", 26379
#: Options of such a URL beside those of TLS: the name of the primary, and how to sign in to the Sentinels.
MASTER, SENTINEL_USER, SENTINEL_PASSWORD = SENTINEL_OPTIONS = ("master", "sentinel_username", "sentinel_password")
#: Options of TLS, which redis-py and kombu read alike. No other option means the same to both.
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
CHOICES = {"ssl_cert_reqs": ("required", "optional", "none"), "ssl_check_hostname": ("true", "false")}
ESCAPES = "escape special characters in the password: %23 for #, %2F for /, %3F for ?, %3B for ;, %5B for ["


@dataclass(frozen=True)
class PrimaryUrl:
    """What a URL of Sentinels says: where they are, their name for the primary, and how to sign in there.

    `sentinel_username` and `sentinel_password` are those of the Sentinels. `tls` has the options of TLS, which they and
    the servers use then; None: they do without.
    """

    sentinels: tuple[tuple[str, int], ...]
    name: str
    database: int
    username: str | None
    password: str | None
    sentinel_username: str | None = None
    sentinel_password: str | None = None
    tls: Mapping[str, str] | None = None


def check_url(url: str) -> str:
    """Return `url` if both clients read it as it is meant. Raise ValueError, which never shows a password."""
    if _is_of_sentinels(url):
        _check_sentinels(url)
        return url
    if not re.match("rediss?://", url):
        raise ValueError(f"is not like {EXAMPLE} or {SENTINEL_EXAMPLE}; rediss:// uses TLS, unix:// is not supported")
    _check_server(url, EXAMPLE)
    parts = urlsplit(url)
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        _check_option(name, value, has_tls=parts.scheme == "rediss")
    return url


def primary(url: str) -> PrimaryUrl | None:
    """Return what a checked URL of Sentinels says; None for the URL of a server."""
    if not _is_of_sentinels(url):
        return None
    parts = [urlsplit(one) for one in _servers(url)]
    options = dict(parse_qsl(urlsplit(url).query))
    user, password = (unquote(text) if text else None for text in (parts[0].username, parts[0].password))
    addresses = tuple((one.hostname or "", one.port or SENTINEL_PORT) for one in parts)
    tls = {name: options[name] for name in TLS_OPTIONS if name in options} if url.startswith(SENTINEL_TLS) else None
    login = options.get(SENTINEL_USER), options.get(SENTINEL_PASSWORD)
    return PrimaryUrl(addresses, options[MASTER], int(parts[0].path.lstrip("/") or 0), user, password, *login, tls)


def _is_of_sentinels(url: str) -> bool:
    return url.startswith((SENTINEL, SENTINEL_TLS))


def _servers(url: str) -> list[str]:
    """Return the URL of each server in a URL of Sentinels, without its options."""
    authority, slash, path = url.partition("://")[2].partition("?")[0].partition("/")
    login, at, hosts = authority.rpartition("@")
    return [f"redis://{login}{at}{host}{slash}{path}" for host in hosts.split(",")]


def _check_sentinels(url: str) -> None:
    query = url.partition("?")[2]
    if re.search(r"[@;#+\s\x00-\x1f\x7f]", query):
        raise ValueError(f"cannot be read as a URL: {ESCAPES}")
    for one in _servers(url):
        _check_server(one, SENTINEL_EXAMPLE)
    hosts = [urlsplit(one).netloc.rpartition("@")[2] for one in _servers(url)]
    if not all(re.fullmatch(r"[A-Za-z0-9_.-]+(:[0-9]+)?", host) for host in hosts):
        raise ValueError(f"is not like {SENTINEL_EXAMPLE}, with names or IPv4 addresses")
    options = parse_qsl(query, keep_blank_values=True)
    if not re.fullmatch(r"[A-Za-z0-9._-]+", dict(options).get(MASTER, "")):
        raise ValueError("must have the option ?master=NAME, the Sentinels' name for the primary")
    for name, value in options:
        if name not in SENTINEL_OPTIONS:
            _check_option(name, value, has_tls=url.startswith(SENTINEL_TLS))


def _check_server(url: str, example: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        port = 0
    # Characters that end the password early, that kombu splits at, or that urlsplit drops.
    if port == 0 or parts.fragment or "@" in parts.path + parts.query or re.search(r"[;\s\x00-\x1f\x7f]", url):
        raise ValueError(f"cannot be read as a URL: {ESCAPES}" if "@" in url else f"is not like {example}")
    if not re.fullmatch("/?|/[0-9]+", parts.path):
        raise ValueError("must end in the number of a database, such as /0")


def next_database(url: str) -> str:
    """Return the URL of the server's next database: `redis://host/0` → `redis://host/1`."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{int(parts.path.lstrip('/') or 0) + 1}"))


def for_celery(url: str) -> str:
    """Return `url` as Celery reads it: one URL for each Sentinel, without options, which it gets in another way.

    Celery verifies no certificate unless the URL says so. redis-py does by default.
    """
    if _is_of_sentinels(url):
        return ";".join(one.replace("redis://", SENTINEL, 1) for one in _servers(url))
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    if parts.scheme == "rediss":
        options.setdefault("ssl_cert_reqs", "required")
    return urlunsplit(parts._replace(query=urlencode(options)))


def _check_option(name: str, value: str, *, has_tls: bool) -> None:
    if name == "db":
        raise ValueError("has the option db: write the number of the database at the end of the path, such as /1")
    if name not in TLS_OPTIONS:
        raise ValueError(f"has the unknown option {name!r}; there are {', '.join(TLS_OPTIONS)}")
    if not has_tls:
        raise ValueError(f"has the option {name}, which needs TLS: rediss:// or sentinels://")
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
