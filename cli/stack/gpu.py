"""`--gpu`: workers on an NVIDIA GPU."""

from __future__ import annotations

import subprocess
import sys

import click

from shared.domain.errors import ConfigError
from shared.nvidia import DRIVER


def announce(*, wanted: bool) -> None:
    """Say which GPU is used, or that one could be. Raise ConfigError, in a line, if it is wanted and cannot be used."""
    if wanted:
        click.echo(f"GPU: {name()}")
    elif DRIVER.exists():
        click.echo("This machine has an NVIDIA driver: with --gpu, its GPU is used.")


def name() -> str:
    """Return the model name of the GPU. Raise ConfigError if there is none, or TensorFlow cannot use it."""
    if not DRIVER.exists():
        raise ConfigError(
            f"--gpu: there is no NVIDIA driver on this machine ({DRIVER}): install it, or leave out --gpu"
        )
    found = subprocess.run([sys.executable, "-m", "worker.hardware"], check=False, capture_output=True, text=True)
    if found.returncode:
        raise ConfigError("--gpu: TensorFlow finds no GPU: start with `./darkroom`, and see what `nvidia-smi` says")
    return found.stdout.strip()
