"""API keys of the service that requires them, and clients that use them."""

from __future__ import annotations

import httpx

from tests.conftest import Service

#: Owners and their keys. `train` and `admin` have the scope of that name, the others `submit`.
KEYS = {name: f"test_{name}_" + name[0] * 32 for name in ("ann", "bob", "busy", "train", "admin")}
SETTINGS = {
    "api_keys": ", ".join(
        f"{name}:{key}:{name if name in ('train', 'admin') else 'submit'}" for name, key in KEYS.items()
    ),
    "trusted_proxies": "1",
    "requests_per_hour": "400",
    "bytes_per_hour": "200000",
    "items_per_hour": "30",
    "max_open_jobs": "5",
}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def client_of(service: Service, name: str) -> httpx.Client:
    """Return a client that sends the key of this name."""
    client = service.client()
    client.headers.update(bearer(KEYS[name]))
    return client
