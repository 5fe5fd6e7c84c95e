"""`darkroom keys`: create, list and revoke API keys of the service on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import click
import httpx

from cli.address import is_loopback, url_from
from cli.stack.data_folder import shared_redis
from cli.terminal.output import Json, Table, write_records
from cli.terminal.tables import field_columns
from shared.access.api_keys import ApiKey, Scope, parse_name
from shared.access.key_store import KeyStore
from shared.domain.errors import DarkroomError
from shared.redis.connection import connect
from shared.settings import load_settings

#: Seconds within which a new key takes effect in every web process, and between two checks.
EFFECT_S, POLL_S = 3.0, 0.2

KEYS = Table(field_columns("NAME", "OWNER", "SCOPES", "MADE"), csv={})


def _name(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    try:
        return text if text is None else parse_name(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group("keys")
def command() -> None:
    """Manage API keys. Works on the service's machine whether or not it is running; changes apply at once."""


@command.command()
@click.argument("name", callback=_name)
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice([scope.value for scope in Scope]), help="Can be repeated."
)
@click.option("--owner", callback=_name, help="Owner of the jobs that the key creates and sees. Default: NAME.")
def create(name: str, scopes: tuple[str, ...], owner: str | None) -> None:
    """Create a key and print it once. The default scope is submit."""
    with _store() as store:
        key = store.create(name, owner or name, frozenset(map(Scope, scopes)) or {Scope.SUBMIT})
    click.echo(f"This key is shown once. Only its digest is kept, in {_place()}.", err=True)
    click.echo(key)
    url = url_from(os.environ)
    if takes_effect(url, key) is False:
        click.echo(
            f"Warning: the service at {url} does not know this key: it uses another Redis or data folder. "
            "Create the key with the service's DARKROOM_DATA_DIR or DARKROOM_REDIS_URL.",
            err=True,
        )


@command.command("list")
def show() -> None:
    """List the name, owner, scopes and date of all keys."""
    with _store() as store:
        found = [*store.all(), *(load_settings().api_keys or ())]
    if not found:
        click.echo(
            f"There are no keys in {_place()}: its service accepts requests without a key, from this machine only.",
            err=True,
        )
    else:
        write_records(map(_record, found), KEYS, "table")


@command.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Revoke a key. It stops working within a second."""
    with _store() as store:
        store.revoke(name)
        last = not store.all() and not load_settings().api_keys
    click.echo(f"The key {name} is revoked.", err=True)
    if last:
        click.echo(
            "It was the last key: without a key, the service now accepts requests from this machine only.", err=True
        )


def takes_effect(url: str, key: str) -> bool | None:
    """Return whether the service at `url` accepts the key and nothing else; None if that cannot be asked.

    The key is sent only to this machine.
    """
    if not is_loopback(urlsplit(url).hostname or ""):
        return None
    deadline = time.monotonic() + EFFECT_S
    while True:
        try:
            with_key, without = (_status(url, headers) for headers in ({"Authorization": f"Bearer {key}"}, {}))
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
        if (with_key, without) == (httpx.codes.OK, httpx.codes.UNAUTHORIZED):
            return True
        if time.monotonic() > deadline:
            return False if {with_key, without} <= {httpx.codes.OK, httpx.codes.UNAUTHORIZED} else None
        time.sleep(POLL_S)


def _status(url: str, headers: dict[str, str]) -> int:
    return httpx.get(f"{url.rstrip('/')}/v1/queues", headers=headers, trust_env=False, timeout=EFFECT_S).status_code


def _place() -> str:
    settings = load_settings()
    return "the Redis of DARKROOM_REDIS_URL" if settings.redis_url else f"the data folder {settings.data_dir.resolve()}"


@contextmanager
def _store() -> Iterator[KeyStore]:
    try:
        with shared_redis(load_settings()) as url:
            yield KeyStore(connect(url))
    except DarkroomError as error:
        raise click.ClickException(str(error)) from error


def _record(key: ApiKey) -> Json:
    made = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d") if key.created_at else "DARKROOM_API_KEYS"
    return {"NAME": key.name, "OWNER": key.owner, "SCOPES": "+".join(sorted(key.scopes)), "MADE": made}
