"""The `darkroom` command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from cli.up import run
from shared.errors import ConfigError
from shared.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Darkroom classifies images in the background: a web page, an HTTP API, and workers that hold the model."""


@main.command()
def up() -> None:
    """Start everything and wait until it is ready. Ctrl-C stops it.

    Settings are environment variables; README.md lists them.
    """
    try:
        sys.exit(run(load_settings()))
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--faults", is_flag=True, help="Break a running service at random instead; --rounds N, --seed S.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...], *, faults: bool) -> None:
    """Run every test; further arguments go to pytest."""
    program = "tests.faults.soak" if faults else "pytest"
    sys.exit(subprocess.run([sys.executable, "-m", program, *arguments], cwd=ROOT, check=False).returncode)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure the service against references on this machine; --help tells more."""
    sys.exit(subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main(prog_name="darkroom")
