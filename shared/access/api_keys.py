"""API keys: owner, scopes and digest.

Only the SHA-256 of a key is stored. A slow hash, as for passwords, is not needed: a key has 256 random bits.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.entities import LOCAL_OWNER, OWNER_PATTERN

#: Prefix of keys, which people and secret scanners recognize.
PREFIX = "darkroom_"
#: Random bytes in a key.
KEY_BYTES = 32
#: Keys in `DARKROOM_API_KEYS`: tokens of RFC 6750 without the separators of that setting. They must be random too; the
#: minimum length rules out passwords that people invent.
SUPPLIED_KEY_PATTERN = re.compile(r"[A-Za-z0-9._~/=-]{32,256}")


class Scope(StrEnum):
    """Permissions of a key, in addition to reading what belongs to its owner."""

    #: Create and change classification jobs.
    SUBMIT = "submit"
    #: Create and change training jobs; to promote a version they need `admin`.
    TRAIN = "train"
    #: All of that for the jobs of all owners; change models and aliases; read metrics.
    ADMIN = "admin"


@dataclass(frozen=True)
class ApiKey:
    """An API key; `digest` is the hex SHA-256 of its text.

    `created_at` is in seconds since the epoch, or None for a key of the settings.
    """

    name: str
    owner: str
    scopes: frozenset[Scope]
    digest: str
    created_at: float | None = None

    def has_scope(self, scope: Scope) -> bool:
        """Return whether the key has the scope; `admin` includes all."""
        return not self.scopes.isdisjoint({scope, Scope.ADMIN})

    @property
    def visible_owner(self) -> str | None:
        """Return the owner whose jobs the key can see, or None for all owners."""
        return None if Scope.ADMIN in self.scopes else self.owner


#: The key of all requests if no keys are in use.
LOCAL_ADMIN = ApiKey(LOCAL_OWNER, LOCAL_OWNER, frozenset({Scope.ADMIN}), "")


def new_key() -> str:
    """Return the text of a new key."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: str) -> str:
    """Return the digest of a key. Looking it up does not leak the key by timing."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def parse_scopes(text: str) -> frozenset[Scope]:
    """Return the scopes in `submit+train`. Raises ValueError."""
    try:
        return frozenset(Scope(word) for word in text.split("+"))
    except ValueError:
        raise ValueError(f"scopes must be some of {', '.join(Scope)}, joined by +") from None


def parse_name(text: str) -> str:
    """Return a valid name of a key or an owner. Raises ValueError."""
    if not OWNER_PATTERN.fullmatch(text):
        raise ValueError("a name must be 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit")
    return text


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """Return the keys in entries `name:key[:scopes[:owner]]`, separated by commas or spaces.

    The default scope is `submit`, the default owner is the name. Raises ValueError, whose text contains no key.
    """
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if not entries:
        raise ValueError("contains no key")
    keys = tuple(_read_key(entry, number) for number, entry in enumerate(entries, 1))
    if len({key.name for key in keys}) < len(keys):
        raise ValueError("two keys have the same name")
    return keys


def _read_key(entry: str, number: int) -> ApiKey:
    parts = entry.split(":")
    try:
        if not 2 <= len(parts) <= 4:
            raise ValueError("must be name:key[:scopes[:owner]]")
        name, key, scopes, owner = parts + [""] * (4 - len(parts))
        if not SUPPLIED_KEY_PATTERN.fullmatch(key):
            raise ValueError("the key must be 32 to 256 random characters of A-Za-z0-9._~/=-")
        return ApiKey(parse_name(name), parse_name(owner or name), parse_scopes(scopes or "submit"), digest_of(key))
    except ValueError as error:
        raise ValueError(f"entry {number}: {error}") from None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address. Host names other than localhost are not resolved."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
