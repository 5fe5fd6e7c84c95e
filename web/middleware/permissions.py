"""`Permissions-Policy`: which features of the browser a page may use."""

from __future__ import annotations

#: What a page has no use for, unless its view allows it to itself.
FEATURES = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")


def permissions_policy(*allowed: str) -> str:
    """Return the header's value, which forbids all FEATURES except those `allowed`."""
    return ", ".join(f"{feature}=({'self' if feature in allowed else ''})" for feature in FEATURES)
