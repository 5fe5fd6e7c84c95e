"""The `darkroom` command."""

from __future__ import annotations

import os
from importlib import import_module

import click

#: Each command, where it is, and the line that `--help` has for it.
COMMANDS = {
    "up": ("cli.commands.up:command", "Start everything and wait until it is ready."),
    "classify": ("cli.commands.classify:command", "Classify pictures, archives and folders."),
    "jobs": ("cli.commands.jobs:command", "List jobs, look at one, follow, cancel, retry and delete it."),
    "train": ("cli.commands.train:command", "Train a model."),
    "models": ("cli.commands.models:command", "List model versions, compare two, promote one, import one."),
    "keys": ("cli.commands.keys:command", "Make, list and revoke API keys of the service on this machine."),
    "test": ("cli.commands.development:test", "Run every test."),
    "bench": ("cli.commands.development:bench", "Measure the service on this machine."),
}


class Commands(click.Group):
    """Imports a command when it is run: `--help` need not load what all of them use."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Their names, the usual ones first."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """The command of this name."""
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Darkroom classifies images in the background: a web page, an HTTP API, and workers that hold the model.

    Results go to stdout, everything else to stderr. `darkroom COMMAND --help` tells more of each command.

    \b
    Environment of the commands that talk to a running service:
      DARKROOM_URL      where it is; http://127.0.0.1:5000 where it is not set
      DARKROOM_API_KEY  the key to send, where the service wants one
      NO_COLOR          no colours

    \b
    Exit codes:
      0  all went well
      1  it failed, or the service cannot be reached
      2  wrong usage: an option, a file that is not there, a value that the service refuses
      3  done, but some pictures failed or could not be sent
      4  not allowed: a key is missing, or does not allow this
      5  the job was cancelled
      6  not done within --timeout; the job goes on
      130  Ctrl-C; the job goes on
    """
    if os.environ.get("NO_COLOR"):
        context.color = False


if __name__ == "__main__":
    main(prog_name="darkroom")
