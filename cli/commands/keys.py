"""`darkroom keys`: create, list and revoke API keys of the service on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from cli.stack.data_folder import shared_redis
from cli.terminal.output import Json, Table, write_records
from cli.terminal.tables import field_columns
from shared.access.api_keys import ApiKey, Scope, parse_name
from shared.access.key_store import KeyStore
from shared.domain.errors import DarkroomError
from shared.redis.connection import connect
from shared.settings import load_settings

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
    click.echo("This key is shown once. Only its digest is kept.", err=True)
    click.echo(key)


@command.command("list")
def show() -> None:
    """List the name, owner, scopes and date of all keys."""
    with _store() as store:
        found = [*store.all(), *(load_settings().api_keys or ())]
    if not found:
        click.echo("There are no keys: the service accepts requests without a key, from this machine only.", err=True)
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
