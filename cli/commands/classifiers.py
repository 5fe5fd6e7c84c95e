"""`darkroom classifiers`."""

from __future__ import annotations

import click

from cli.client import Client
from cli.options import output_option
from cli.service import connect
from cli.terminal.output import Format, Json, write_record, write_records
from cli.terminal.tables import CLASSIFIER, CLASSIFIERS


@click.group("classifiers")
def command() -> None:
    """List and show classifiers, and choose their champions."""


@command.command("list")
@output_option
def list_(*, output: Format) -> None:
    """List the classifiers that ship with Darkroom, and your own."""
    with connect() as client:
        write_records(client.classifiers(), CLASSIFIERS, output)


@command.command()
@click.argument("name")
@output_option
def show(name: str, *, output: Format) -> None:
    """Show a classifier; `./darkroom models list` lists its versions."""
    with connect() as client:
        write_record(client.classifier(name), CLASSIFIER, output)


@command.command(short_help="Make a version the champion of a classifier.")
@click.argument("name")
@click.argument("version")
@click.option("--instead-of", metavar="VERSION", help="Only if this version is still the champion.")
@output_option
def promote(name: str, version: str, *, instead_of: str | None, output: Format) -> None:
    """Make a version the champion of a classifier, which serves new jobs. To roll back, promote the one before."""
    with connect() as client:
        write_record(promote_in(client, name, version, instead_of), CLASSIFIER, output)


def promote_in(client: Client, name: str, version: str, instead_of: str | None) -> Json:
    """Make a version the champion of a classifier, and return that. Raise ClickException if `instead_of` is not."""
    found = client.classifier(name)
    champion = (found["champion"] or {}).get("version")
    if instead_of not in (None, champion):
        raise click.ClickException(f"the champion of {name} is {champion or 'none'}, not {instead_of}")
    return client.promote(version, classifier=name, etag=found["etag"])
