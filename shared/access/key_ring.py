"""The API keys that a process accepts: those of the settings and of the store."""

from __future__ import annotations

import time
from collections.abc import Iterable

from shared.access.api_keys import ApiKey
from shared.access.key_store import KeyStore

#: Seconds that keys are cached: a revoked key may still be accepted for this long.
CACHE_S = 1.0


class KeyRing:
    """API keys by digest, with a cache of the store."""

    def __init__(self, given: Iterable[ApiKey], store: KeyStore) -> None:
        """`given` are the keys of the settings, which override those of `store`."""
        self._store = store
        self._given = {key.digest: key for key in given}
        self._loaded: tuple[float, dict[str, ApiKey]] = (-CACHE_S, {})

    def find(self, digest: str) -> ApiKey | None:
        """Return the key with this digest, or None. Raises Unavailable."""
        return self._keys(CACHE_S).get(digest) or self._keys(CACHE_S / 10).get(digest)  # a new key is accepted at once

    def is_empty(self) -> bool:
        """Return whether there are no keys. Raises Unavailable."""
        return not self._keys(CACHE_S)

    def _keys(self, max_age_s: float) -> dict[str, ApiKey]:
        at, keys = self._loaded
        if time.monotonic() - at > max_age_s:
            keys = {key.digest: key for key in self._store.all()} | self._given
            self._loaded = (time.monotonic(), keys)
        return keys
