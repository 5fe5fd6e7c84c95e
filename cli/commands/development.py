"""`darkroom test` and `darkroom bench`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent.parent


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--faults", is_flag=True, help="Break a running service at random instead; --rounds N, --seed S.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...], *, faults: bool) -> None:
    """Run every test; further arguments go to pytest."""
    program = "tests.faults.soak" if faults else "pytest"
    sys.exit(subprocess.run([sys.executable, "-m", program, *arguments], cwd=ROOT, check=False).returncode)


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure the service against references on this machine; --help tells more."""
    sys.exit(subprocess.run([sys.executable, "-m", "bench", *arguments], cwd=ROOT, check=False).returncode)
