"""Options that several commands share."""

from __future__ import annotations

from typing import get_args

import click

from cli.terminal.output import Format

#: Predictions that the service keeps of each picture.
MAX_PREDICTIONS = 5

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
