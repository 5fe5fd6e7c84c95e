"""The port of the web server: whether it is free, and whether browsers open it."""

from __future__ import annotations

import socket

from cli.address import authority
from shared.domain.errors import ConfigError

#: Ports that browsers open for no page (https://fetch.spec.whatwg.org/#port-blocking).
BLOCKED = {
    *(1, 7, 9, 11, 13, 15, 17, *range(19, 24), 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, *range(101, 105), 109, 110, 111),
    *(113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, *range(512, 516), 526, 530, 531, 532, 540),
    *(548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061),
    *(6000, 6566, *range(6665, 6670), 6679, 6697, 10080),
}


def check_port(host: str, port: int) -> None:
    """Raise ConfigError if the web server could not listen on the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError, TypeError) as error:  # TypeError: a host that no name can be
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"cannot listen on {authority(host, port)}: {reason}; set DARKROOM_PORT") from error


def port_warning(port: int) -> str | None:
    """Return a warning if browsers do not open the port."""
    return f"browsers do not open port {port}: choose another one with DARKROOM_PORT" if port in BLOCKED else None
