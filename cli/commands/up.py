"""`darkroom up`."""

from __future__ import annotations

import sys

import click

from cli.stack.gpu import announce
from cli.stack.up import run
from shared.domain.errors import ConfigError
from shared.settings import load_settings


@click.command("up")
@click.option("--gpu", is_flag=True, help="Classify and train on this machine's NVIDIA GPU.")
def command(*, gpu: bool) -> None:
    """Start all processes and wait until the service is ready. Ctrl-C stops them.

    Settings are environment variables; docs/settings.md lists them.
    """
    try:
        announce(wanted=gpu)
        sys.exit(run(load_settings()))
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
