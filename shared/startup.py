"""Checks before the service starts."""

from __future__ import annotations

from shared.access.key_store import KeyStore
from shared.domain.errors import ConfigError, Unavailable
from shared.settings import Settings


def check_binding(settings: Settings, store: KeyStore) -> None:
    """Raise ConfigError if other machines can reach the service and there is no API key.

    If Redis cannot be reached the start continues: no request is accepted before it answers.
    """
    if settings.needs_stored_key and not _has_keys(store):
        way = "through a proxy" if settings.trusted_proxies else f"at DARKROOM_HOST={settings.host}"
        raise ConfigError(
            f"other machines can reach the service {way}, but there is no API key: "
            "create one with `darkroom keys create NAME`, or set DARKROOM_API_KEYS"
        )


def _has_keys(store: KeyStore) -> bool:
    """Return whether the store has a key; True if Redis cannot be reached."""
    try:
        return bool(store.all())
    except Unavailable:
        return True
