"""The API keys that a process accepts: those of the settings and those of the store."""

from __future__ import annotations

import time
from collections.abc import Iterable

from shared.access.api_keys import ApiKey
from shared.access.key_store import KeyStore

#: Seconds for which the keys are not read again: so long a revoked one may still be taken.
FRESH_S = 1.0


class KeyRing:
    """API keys by digest, read from the store again once a second."""

    def __init__(self, given: Iterable[ApiKey], store: KeyStore) -> None:
        """`given` are the keys of the settings; they win over those of `store`."""
        self._store = store
        self._given = {key.digest: key for key in given}
        self._loaded: tuple[float, dict[str, ApiKey]] = (-FRESH_S, {})

    def find(self, digest: str) -> ApiKey | None:
        """Return the key with this digest, None if there is none. Raises Unavailable."""
        return self._keys(FRESH_S).get(digest) or self._keys(FRESH_S / 10).get(digest)  # a new one is known at once

    def is_empty(self) -> bool:
        """Return whether there is no key at all. Raises Unavailable."""
        return not self._keys(FRESH_S)

    def _keys(self, fresh_s: float) -> dict[str, ApiKey]:
        at, keys = self._loaded
        if time.monotonic() - at > fresh_s:
            keys = {key.digest: key for key in self._store.all()} | self._given
            self._loaded = (time.monotonic(), keys)
        return keys
