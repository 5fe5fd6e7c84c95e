"""Options that several commands have."""

from __future__ import annotations

from typing import get_args

import click

from cli.terminal.output import Format

#: Most predictions that the service keeps of a picture.
MOST_PREDICTIONS = 5

output_option = click.option(
    *("-o", "--output", "form"),
    type=click.Choice(get_args(Format)),
    default="table",
    show_default=True,
    help="Format of what goes to stdout.",
)
timeout_option = click.option(
    *("--timeout", "timeout_s"),
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Give up after this time, with exit code 6; the job goes on.",
)
webhook_option = click.option("--webhook", metavar="URL", help="Called when the job ends; docs/webhooks.md tells more.")
top_k_option = click.option(
    "--top-k",
    type=click.IntRange(1, MOST_PREDICTIONS),
    metavar="N",
    help="Predictions of each picture: 1 in a table and in CSV where it is not given, all of them in JSON.",
)
