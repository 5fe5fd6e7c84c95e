"""API keys: whose one is, what it may do, and how it is known again without being kept.

A key is 256 random bits, so its plain SHA-256 is kept: nobody can guess what to try, and a slow hash, as passwords
need, would only slow down each request.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from shared.domain.entities import LOCAL_OWNER, OWNER_PATTERN

#: What a key begins with, so that people and scanners of repositories know one when they see it.
PREFIX = "darkroom_"
#: Random bytes in a key.
KEY_BYTES = 32
#: A key that somebody else made: as RFC 6750 has tokens, without what `DARKROOM_API_KEYS` separates with. Such a key
#: must be random too; 32 characters rule out what a person thinks of.
SUPPLIED_KEY_PATTERN = re.compile(r"[A-Za-z0-9._~/=-]{32,256}")


class Scope(StrEnum):
    """What a key may do beside reading what belongs to its owner."""

    #: Make and change classification jobs.
    SUBMIT = "submit"
    #: Make and change training jobs; those that may promote their version need `admin`.
    TRAIN = "train"
    #: All of that, for every owner's jobs; change models and aliases; read the metrics.
    ADMIN = "admin"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept: `digest` is the SHA-256 of its text, in hex.

    `created_at` is in seconds since the epoch; None where the key came with the settings.
    """

    name: str
    owner: str
    scopes: frozenset[Scope]
    digest: str
    created_at: float | None = None

    def has_scope(self, scope: Scope) -> bool:
        """Whether the key has the scope."""
        return not self.scopes.isdisjoint({scope, Scope.ADMIN})

    @property
    def visible_owner(self) -> str | None:
        """The owner whose things it sees; None for all."""
        return None if Scope.ADMIN in self.scopes else self.owner


#: Who asks where no keys are in use: whoever sits at this machine.
LOCAL_ADMIN = ApiKey(LOCAL_OWNER, LOCAL_OWNER, frozenset({Scope.ADMIN}), "")


def new_key() -> str:
    """The text of a new key."""
    return PREFIX + secrets.token_urlsafe(KEY_BYTES)


def digest_of(key: str) -> str:
    """What is kept of a key. Digests are looked up, not compared letter by letter: the time tells nothing of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def parse_scopes(text: str) -> frozenset[Scope]:
    """`submit+train` → the scopes. Raises ValueError."""
    try:
        return frozenset(Scope(word) for word in text.split("+"))
    except ValueError:
        raise ValueError(f"scopes are some of {', '.join(Scope)}, with + between them") from None


def parse_name(text: str) -> str:
    """The name of a key or of an owner. Raises ValueError."""
    if not OWNER_PATTERN.fullmatch(text):
        raise ValueError("a name is 1 to 63 of a-z 0-9 . _ - and begins with a letter or a digit")
    return text


def parse_keys(text: str) -> tuple[ApiKey, ...]:
    """`name:key[:scopes[:owner]]`, with commas or spaces between such entries → the keys.

    Without them the scope is `submit`, and the owner the name. Raises ValueError, which never says any of a key.
    """
    entries = [entry for entry in re.split(r"[\s,]+", text) if entry]
    if not entries:
        raise ValueError("there is no key in it")
    keys = tuple(_read_key(entry, number) for number, entry in enumerate(entries, 1))
    if len({key.name for key in keys}) < len(keys):
        raise ValueError("two keys have the same name")
    return keys


def _read_key(entry: str, number: int) -> ApiKey:
    parts = entry.split(":")
    try:
        if not 2 <= len(parts) <= 4:
            raise ValueError("not name:key[:scopes[:owner]]")
        name, key, scopes, owner = parts + [""] * (4 - len(parts))
        if not SUPPLIED_KEY_PATTERN.fullmatch(key):
            raise ValueError("the key must be 32 to 256 random characters of A-Za-z0-9._~/=-")
        return ApiKey(parse_name(name), parse_name(owner or name), parse_scopes(scopes or "submit"), digest_of(key))
    except ValueError as error:
        raise ValueError(f"entry {number}: {error}") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address; a name other than localhost may be anybody's."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
