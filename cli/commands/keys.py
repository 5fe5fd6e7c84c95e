"""`darkroom keys`: make, list and revoke API keys, on the machine that Darkroom runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from cli.stack.data_folder import redis_beside
from shared.access.api_keys import ApiKey, Scope, parse_name
from shared.access.key_store import KeyStore
from shared.domain.errors import DarkroomError
from shared.redis.connection import connect
from shared.settings import load_settings


def _name(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    try:
        return text if text is None else parse_name(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group("keys")
def command() -> None:
    """API keys. They are made on this machine, whether or not the service runs, and known to it at once."""


@command.command()
@click.argument("name", callback=_name)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="May be given more than once.",
)
@click.option("--owner", callback=_name, help="Whose jobs it makes and sees; the name where it is not given.")
def create(name: str, scopes: tuple[str, ...], owner: str | None) -> None:
    """Make a key and print it, this once. Without --scope it may submit pictures."""
    with _store() as store:
        key = store.create(name, owner or name, frozenset(map(Scope, scopes)) or {Scope.SUBMIT})
    click.echo("This key is shown once. Only its digest is kept.", err=True)
    click.echo(key)


@command.command("list")
def show() -> None:
    """Every key's name, owner, scopes and age; never the key."""
    with _store() as store:
        found = [*store.all(), *(load_settings().api_keys or ())]
    if not found:
        click.echo("There are no keys: the service is open, on the loopback address only.", err=True)
    _table([("NAME", "OWNER", "SCOPES", "MADE"), *(_row(key) for key in found)] if found else [])


@command.command()
@click.argument("name")
def revoke(name: str) -> None:
    """Let a key be worth nothing, from a second later."""
    with _store() as store:
        store.revoke(name)
        last = not store.all() and not load_settings().api_keys
    click.echo(f"The key {name} is revoked.", err=True)
    if last:
        click.echo("It was the last one: on the loopback address the service is open now.", err=True)


@contextmanager
def _store() -> Iterator[KeyStore]:
    try:
        with redis_beside(load_settings()) as url:
            yield KeyStore(connect(url))
    except DarkroomError as error:
        raise click.ClickException(str(error)) from error


def _row(key: ApiKey) -> tuple[str, ...]:
    made = datetime.fromtimestamp(key.created_at, UTC).strftime("%Y-%m-%d") if key.created_at else "DARKROOM_API_KEYS"
    return key.name, key.owner, "+".join(sorted(key.scopes)), made


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
