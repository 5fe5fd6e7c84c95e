"""Signal handling of long-running programs."""

from __future__ import annotations

import signal
import threading


def stop_event() -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets. Call it from the main thread."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
