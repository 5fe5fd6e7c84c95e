"""A primary, a replica and three Sentinels: real processes, which a test can kill.

Secured ones use TLS everywhere, with a certificate for this machine, and the Sentinels have a password of their own.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from cli.stack.embedded_redis import free_port
from tests.certificates import authority, certificate
from tests.conftest import answers, wait_until

NAME, PASSWORD = "photos.1", "p,a=s/s"
#: Milliseconds without an answer after which a Sentinel calls a server dead, and until it tries a failover again.
DOWN_MS, FAILOVER_MS = 1000, 2000
#: The password in a URL, and that of secured Sentinels, which needs no escaping.
ESCAPED, SENTINELS_PASSWORD = "p%2Ca%3Ds%2Fs", "sentinels-own"
PLAIN = "port {port}\n"
TLS = """\
port 0
tls-port {port}
tls-replication yes
tls-auth-clients no
tls-cert-file {folder}/server.pem
tls-key-file {folder}/server.key
tls-ca-cert-file {folder}/ca.pem
"""
SERVER = f"""\
bind 127.0.0.1
appendonly yes
requirepass {PASSWORD}
masterauth {PASSWORD}
repl-diskless-sync-delay 0
"""
SENTINEL = f"""\
bind 127.0.0.1
sentinel monitor {NAME} 127.0.0.1 {{primary}} 2
sentinel auth-pass {NAME} {PASSWORD}
sentinel down-after-milliseconds {NAME} {DOWN_MS}
sentinel failover-timeout {NAME} {FAILOVER_MS}
"""
SECURED = f"""\
requirepass {SENTINELS_PASSWORD}
sentinel sentinel-pass {SENTINELS_PASSWORD}
"""


@dataclass
class Site:
    """The processes by their port. `servers` are the primary and its replica, `sentinels` the three others."""

    processes: dict[int, subprocess.Popen[bytes]]
    servers: tuple[int, int]
    sentinels: tuple[int, ...]
    authority: Path | None = None

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        plain = f"://:{ESCAPED}@{hosts}/0?master={NAME}"
        if self.authority is None:
            return f"sentinel{plain}"
        return f"sentinels{plain}&sentinel_password={SENTINELS_PASSWORD}&ssl_ca_certs={self.authority}"

    def address(self, port: int, login: str) -> str:
        """Return the URL of one server or Sentinel."""
        if self.authority is None:
            return f"redis://{login}127.0.0.1:{port}/0"
        return f"rediss://{login}127.0.0.1:{port}/0?ssl_ca_certs={self.authority}"

    def kill(self, port: int) -> None:
        self.processes[port].kill()
        self.processes[port].wait()

    def ask(self, sentinel: int) -> dict:
        """Return what a Sentinel says about the primary."""
        login = f":{SENTINELS_PASSWORD}@" if self.authority else ""
        with redis.Redis.from_url(self.address(sentinel, login), decode_responses=True) as client:
            return client.sentinel_master(NAME)

    def fail_over(self, how: signal.Signals) -> None:
        """Kill or stop the primary, and kill the first Sentinel of the URL; return when the others name the replica."""
        self.processes[self.servers[0]].send_signal(how)
        self.kill(self.sentinels[0])
        for sentinel in self.sentinels[1:]:
            wait_until(lambda one=sentinel: self.ask(one)["port"] == self.servers[1], "the replica is the primary")


@contextmanager
def running_sentinels(command: str, folder: Path, *, secured: bool = False) -> Iterator[Site]:
    """Run them with this program of Redis or Valkey; yield when the Sentinels know each other and the replica."""
    primary, replica, *sentinels = (free_port() for _ in range(5))
    with ExitStack() as stack:
        site = Site({}, (primary, replica), tuple(sentinels), folder / "ca.pem" if secured else None)
        if secured:
            authority(folder, "ca")
            certificate(folder, "server", "IP:127.0.0.1")

        def start(port: int, login: str, configuration: str, *words: str) -> None:
            place = folder / str(port)
            place.mkdir()
            listens = (TLS if secured else PLAIN).format(port=port, folder=folder)
            (place / "conf").write_text(listens + configuration)  # a Sentinel writes what it learns to its file
            process = subprocess.Popen([command, "conf", *words], cwd=place, stdout=subprocess.DEVNULL)
            site.processes[port] = stack.enter_context(process)
            stack.callback(site.kill, port)
            wait_until(lambda: answers(site.address(port, login)), "it answers")

        for port in site.servers:
            follows = f"replicaof 127.0.0.1 {primary}\n" if port == replica else ""
            start(port, f":{ESCAPED}@", SERVER + follows)
        login, own = (f":{SENTINELS_PASSWORD}@", SECURED) if secured else ("", "")
        for port in sentinels:
            start(port, login, SENTINEL.format(primary=primary) + own, "--sentinel")
        for port in sentinels:
            wait_until(lambda one=port: is_complete(site.ask(one)), "the Sentinels know each other and the replica")
        yield site


def is_complete(primary: dict) -> bool:
    return (primary["num-other-sentinels"], primary["num-slaves"]) == (2, 1)
