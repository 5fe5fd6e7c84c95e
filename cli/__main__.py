"""The `darkroom` command."""

from __future__ import annotations

import difflib
import io
import os
import sys
from importlib import import_module

import click

#: Module and attribute of each command, and its line in `--help`.
COMMANDS = {
    "up": ("cli.commands.up:command", "Start all processes and wait until the service is ready."),
    "join": ("cli.commands.join:command", "Work for a service that runs on another machine."),
    "classify": ("cli.commands.classify:command", "Classify pictures, archives and folders."),
    "jobs": ("cli.commands.jobs:command", "List, show, watch, cancel, retry and delete jobs."),
    "datasets": (
        "cli.commands.datasets:command",
        "Create datasets of your own pictures, add to them, label and export.",
    ),
    "train": ("cli.commands.train:command", "Train a model."),
    "classifiers": ("cli.commands.classifiers:command", "List and show classifiers, and choose their champions."),
    "models": ("cli.commands.models:command", "List, compare, promote, import and export model versions."),
    "keys": ("cli.commands.keys:command", "Create, list and revoke API keys on the service's machine."),
    "test": ("cli.commands.development:test", "Run every test."),
    "bench": ("cli.commands.development:bench", "Measure the service on this machine."),
}


class Commands(click.Group):
    """Group that imports a command only when it is used, so that `--help` is fast."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands, the most common first."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of this name, or None."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the words name. Raise UsageError, with the name that is nearest to a wrong one."""
        near = difflib.get_close_matches(args[0], COMMANDS, n=1)
        if near and args[0] not in COMMANDS:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Darkroom classifies images in the background: web pages, an HTTP API, and worker processes.

    Results go to stdout, messages to stderr. See `darkroom COMMAND --help` for each command.

    \b
    Environment variables:
      DARKROOM_URL      address of the service; default: http://127.0.0.1:5000,
                        or with DARKROOM_PORT and DARKROOM_HOST
      DARKROOM_API_KEY  API key, if the service needs one
      NO_COLOR          no colours

    \b
    Exit codes:
      0  success
      1  failure, or the service cannot be reached
      2  usage error: an option, a missing file, an unknown name, a rejected value
      3  done, but some pictures failed or could not be sent
      4  not allowed: the API key is missing or lacks a scope
      5  the job was cancelled
      6  timeout; the job keeps running
      130  Ctrl-C; the job keeps running
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show every character
            stream.reconfigure(errors="backslashreplace")
    if os.environ.get("NO_COLOR"):
        context.color = False


if __name__ == "__main__":
    main(prog_name="darkroom")
