"""Options that several commands share."""

from __future__ import annotations

from typing import get_args

import click

from cli.terminal.output import Format
from shared.domain.name_encodings import known_encoding

#: Predictions that the service keeps of each picture.
MAX_PREDICTIONS = 5


def _encoding(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if name is not None and known_encoding(name) is None:
        raise click.BadParameter(f"{name!r} is not an encoding such as cp437, cp850, cp932, gbk or cp1252")
    return name


sources_argument = click.argument(
    "sources", nargs=-1, required=True, type=click.Path(exists=True, allow_dash=True), metavar="FILE|DIR|ZIP|-..."
)
names_option = click.option(
    "--names",
    metavar="ENCODING",
    callback=_encoding,
    help="Encoding of names in archives that do not say it, such as cp932. Default: it is guessed.",
)
list_skipped_option = click.option(
    "--list-skipped", is_flag=True, help="List every skipped file, also those in archives, on stderr."
)
output_option = click.option(
    *("-o", "--output"),
    type=click.Choice(get_args(Format)),
    default="table",
    show_default=True,
    help="Output format.",
)
timeout_option = click.option(
    *("--timeout", "timeout_s"),
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Give up after this time, with exit code 6. The job keeps running.",
)
webhook_option = click.option("--webhook", metavar="URL", help="URL to call when the job ends; see docs/webhooks.md.")
top_k_option = click.option(
    "--top-k",
    type=click.IntRange(1, MAX_PREDICTIONS),
    metavar="N",
    help="Predictions for each picture. Default: 1 in tables and CSV, all in JSON.",
)
