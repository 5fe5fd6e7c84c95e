"""`darkroom test` and `darkroom bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent.parent


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--quick", is_flag=True, help="Only what needs neither the service nor a browser nor TensorFlow.")
@click.option("--faults", is_flag=True, help="Break a running service at random instead; --rounds N, --seed S.")
@click.option("--machines", is_flag=True, help="The same with machines that are cut off; also --control. As root.")
@click.option("--containers", is_flag=True, help="Run the Compose file instead; with podman or Docker.")
@click.option("--pods", is_flag=True, help="Run the Kubernetes manifests instead; with podman, after --containers.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(
    arguments: tuple[str, ...], *, quick: bool, faults: bool, machines: bool, containers: bool, pods: bool
) -> None:
    """Run every test.

    Without arguments, first install the programs that are missing: as root with apt-get, else after a question with
    sudo. Tests that need what is still missing are skipped and named; with CI=true they fail. All other arguments go
    to pytest: files, -k, -x, -n0 (one process, for a debugger).
    """
    if containers:
        sys.exit(run("tests.deployment.containers", *arguments))
    if pods:
        sys.exit(run("tests.deployment.pods", *arguments))
    if machines:
        sys.exit(run("tests.faults.machines", *arguments))
    if faults:
        sys.exit(run("tests.faults.soak", *arguments))
    if not (quick or arguments):
        run("tests.programs")
    options = ["--quick", "-n2"] if quick else []
    if not os.access(ROOT, os.W_OK):
        options += ["-p", "no:cacheprovider"]  # it writes to the checkout, or ends with a warning
    # Several processes share the cores, on which OpenBLAS's threads would wait for each other by spinning.
    sys.exit(run("pytest", *options, *arguments, OPENBLAS_NUM_THREADS="1"))


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure the service against references on this machine; --help tells more."""
    sys.exit(run("bench", *arguments))


def run(module: str, *arguments: str, **variables: str) -> int:
    """Run a module of the repository, with these environment variables, and return its exit status."""
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode
