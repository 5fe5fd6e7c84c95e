"""nginx and Caddy as docs/operations.md configures them, in front of two web processes of one service."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from cli.stack import embedded_redis
from cli.stack.embedded_redis import free_port
from cli.stack.environment import environment
from cli.stack.programs import web
from shared.settings import PREFIX, Settings, load_settings
from tests.certificates import authority, certificate
from tests.conftest import NO_TLS, PATIENCE_S, ROOT, START_STOP_S, Service, wait_until
from tests.documents import DOCS, blocks
from tests.programs import need

#: The host in the documented configurations, and the addresses of their two web processes.
HOST, ADDRESSES = "darkroom.example", ("127.0.0.1:5000", "10.0.0.2:5000")
#: The key of these tests: others fill the quotas of theirs.
KEY = "test_proxied_" + "p" * 32
SETTINGS = {
    "DARKROOM_API_KEYS": f"proxied:{KEY}:submit",
    "DARKROOM_TRUSTED_PROXIES": "1",
    "DARKROOM_WEB_PROCESSES": "1",
}
#: What nginx needs around the documented block. Without a master process it has one process.
NGINX = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {}
}}
"""
#: Options of Caddy: free ports, a certificate of its own, nothing outside its folder.
CADDY = """\
{{
    admin off
    default_bind 127.0.0.1
    https_port {}
    http_port {}
    local_certs
    skip_install_trust
    auto_https disable_redirects
}}
{}
"""
CADDYS_AUTHORITY = "caddy/pki/authorities/local/root.crt"


@dataclass
class Web:
    """A web process: its address, its log, and what starts it."""

    address: str
    log: Path
    command: list[str]
    variables: dict[str, str]
    process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready. It writes to the end of its log."""
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.variables, stderr=file, start_new_session=True, text=True
            )
        wait_until(lambda: is_ready(self), "the web process is ready", START_STOP_S)

    def kill(self) -> None:
        """Kill it with its children."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def answered(self, answer: httpx.Response) -> bool:
        """Tell whether this process has logged the request."""
        return f'"request_id": "{answer.headers["X-Request-Id"]}"' in self.log.read_text()


@contextmanager
def running_web(service: Service, log: Path, variables: Mapping[str, str] = SETTINGS) -> Iterator[Web]:
    """Run another web server with these settings on the Redis and the storage of `service`."""
    own = {"DARKROOM_PORT": str(free_port()), "DARKROOM_DATA_DIR": str(service.data_dir), **variables}
    settings = load_settings(own)
    url = embedded_redis.configured_url(Settings(data_dir=service.data_dir))
    given = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    # A killed process leaves its folder of metrics.
    whole = environment(given | own, settings, url) | {"TMPDIR": str(log.parent)}
    running = Web(f"127.0.0.1:{settings.port}", log, web(settings), whole)
    try:
        running.start()
        yield running
    finally:
        assert running.process is not None
        running.process.terminate()
        running.process.wait(START_STOP_S)


@contextmanager
def with_settings(service: Service, folder: Path, **settings: str) -> Iterator[Service]:
    """Run `service` with other settings of its web server, as another one: a whole service costs far more to start."""
    variables = {PREFIX + name.upper(): value for name, value in settings.items()}
    with running_web(service, folder / "web.log", variables) as web:
        assert web.process is not None
        yield Service(f"http://{web.address}", service.data_dir, web.process)


def is_ready(running: Web) -> bool:
    assert running.process is not None and running.process.poll() is None, running.log.read_text()
    try:
        return httpx.get(f"http://{running.address}/readyz", trust_env=False, verify=NO_TLS).is_success
    except httpx.TransportError:
        return False


@dataclass
class Site:
    """A proxy with TLS: its port on this machine, the authority that it has its certificate from, and its log."""

    port: int
    authority: Path
    log: Path

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def client(self, source: str = "127.0.0.1", **headers: str) -> httpx.Client:
        """Return a client that calls from the address `source`."""
        transport = ToThisMachine(verify=self.context(), local_address=source)
        return httpx.Client(
            base_url=self.url, transport=transport, headers=headers, timeout=PATIENCE_S, trust_env=False
        )


class ToThisMachine(httpx.HTTPTransport):
    """Connect to this machine, as if it had the host's name."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; its TLS is for the host."""
        extensions = {**request.extensions, "sni_hostname": request.url.host}
        here = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(
            httpx.Request(request.method, here, headers=request.headers, stream=request.stream, extensions=extensions)
        )


def documented(language: str, changes: dict[str, str]) -> str:
    """Return the block of this language in the document, with other addresses, ports and files."""
    (text,) = blocks(language, DOCS / "operations.md")
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def addresses(webs: list[Web]) -> dict[str, str]:
    return {old: new.address for old, new in zip(ADDRESSES, webs, strict=True)}


@contextmanager
def running_nginx(webs: list[Web], folder: Path) -> Iterator[Site]:
    """Run nginx with the documented block."""
    program, port = need("nginx"), free_port()
    need("openssl")
    authority(folder, "ca")
    certificate(folder, "darkroom", f"DNS:{HOST}")
    changes = {"listen 443": f"listen 127.0.0.1:{port}", "/etc/ssl/darkroom.pem": "darkroom.pem"}
    block = documented("nginx", addresses(webs) | changes | {"/etc/ssl/darkroom.key": "darkroom.key"})
    (folder / "nginx.conf").write_text(NGINX.format(block))
    words = [program, "-p", str(folder), "-e", "stderr", "-c", "nginx.conf"]
    with running(words, folder, Site(port, folder / "ca.pem", folder / "log")) as site:
        yield site


@contextmanager
def running_caddy(webs: list[Web], folder: Path) -> Iterator[Site]:
    """Run Caddy with the documented block."""
    program, port = need("caddy"), free_port()
    (folder / "Caddyfile").write_text(CADDY.format(port, free_port(), documented("caddyfile", addresses(webs))))
    words = [program, "run", "--config", "Caddyfile", "--adapter", "caddyfile"]
    with running(words, folder, Site(port, folder / CADDYS_AUTHORITY, folder / "log")) as site:
        yield site


@contextmanager
def running(words: list[str], folder: Path, site: Site) -> Iterator[Site]:
    """Run a proxy in its folder; wait until it answers."""
    homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with site.log.open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env={**os.environ, **homes}, stderr=log)
    try:
        wait_until(lambda: answers(site, process), "the proxy answers")
        yield site
    finally:
        process.terminate()
        process.wait(START_STOP_S)


def answers(site: Site, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, site.log.read_text()
    try:
        with site.client() as http:
            return http.get("/healthz").is_success
    except (OSError, httpx.TransportError):  # Caddy's authority does not exist yet
        return False
