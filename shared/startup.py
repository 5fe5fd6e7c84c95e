"""What must hold before a service that others can reach is started."""

from __future__ import annotations

from shared.access.key_store import KeyStore
from shared.domain.errors import ConfigError, Unavailable
from shared.settings import Settings


def check_binding(settings: Settings, store: KeyStore) -> None:
    """Raise ConfigError if others can reach the service and there is no API key at all.

    If Redis cannot be reached the start goes on: nobody is let in before it answers.
    """
    if settings.needs_stored_key and not _has_keys(store):
        way = "through a proxy" if settings.trusted_proxies else f"at DARKROOM_HOST={settings.host}"
        raise ConfigError(
            f"others can reach the service {way}, and there is no API key: "
            "make one with `darkroom keys create NAME`, or set DARKROOM_API_KEYS"
        )


def _has_keys(store: KeyStore) -> bool:
    """Return whether the store has a key; True if nobody can say."""
    try:
        return bool(store.all())
    except Unavailable:
        return True
