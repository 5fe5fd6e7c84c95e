"""`darkroom models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.options import output_option
from cli.service import connected
from cli.terminal.output import Format, write_all, write_one
from cli.terminal.tables import CHAMPION, COMPARISON, MODEL, MODELS


@click.group("models")
def command() -> None:
    """List model versions, compare two, promote one, import one."""


@command.command("list")
@output_option
def list_(*, form: Format) -> None:
    """List all versions, newest first."""
    with connected() as client:
        write_all(client.models(), MODELS, form)


@command.command()
@click.argument("version")
@output_option
def show(version: str, *, form: Format) -> None:
    """Show a version; -o json has its whole card."""
    with connected() as client:
        write_one(client.model(version), MODEL, form)


@command.command()
@click.argument("first")
@click.argument("second")
@output_option
def compare(first: str, second: str, *, form: Format) -> None:
    """Compare the SECOND version with the FIRST, on the same test images."""
    with connected() as client:
        write_one(client.compare(first, second), COMPARISON, form)


@command.command()
@click.argument("version")
@click.option("--instead-of", metavar="VERSION", help="Only where this version is the champion still.")
@output_option
def promote(version: str, *, instead_of: str | None, form: Format) -> None:
    """Let a version serve new jobs. Jobs that run keep theirs."""
    with connected() as client:
        seen = client.champion()
        if instead_of not in (None, seen["version"]):
            raise click.ClickException(f"the champion is {seen['version']}, not {instead_of}")
        write_one(client.promote(version, etag=seen["etag"]), CHAMPION, form)


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--labels", metavar="A,B,…", help="Names of the classes in the order of the outputs; or a file of them.")
@click.option(
    "--value-range", type=click.Choice(["0-255", "0-1"]), help="What the pixels that it takes go from and to."
)
@click.option("--name", help="What to call it.")
@output_option
def import_(file: Path, *, labels: str | None, form: Format, **about: Any) -> None:
    """Import a Keras model, a .keras or .h5 file. One that would run code is refused."""
    with connected() as client:
        write_one(client.import_model(file, labels=labels and _names(labels), **about), MODEL, form)


def _names(labels: str) -> list[str]:
    """From `a,b,c`, or a file with a name on each line."""
    lines = Path(labels).read_text().splitlines() if Path(labels).is_file() else labels.split(",")
    return [line.strip() for line in lines if line.strip()]
