"""What `--help` says, and what a wrong name of a command is answered."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from cli.__main__ import COMMANDS, main
from cli.commands.train import OWN_ONLY
from shared.training.presets import PARAMS

GROUPS = [name for name in COMMANDS if isinstance(main.get_command(click.Context(main), name), click.Group)]


def said(*words: str) -> str:
    return CliRunner().invoke(main, words, terminal_width=78).output


@pytest.mark.parametrize("group", GROUPS)
def test_no_line_about_a_command_is_cut(group: str) -> None:
    listed = said(group, "--help").partition("\nCommands:\n")[2]
    assert listed and "..." not in listed


def test_the_help_of_train_names_every_preset() -> None:
    about = said("train", "--help")
    assert all(re.search(rf"\b{preset}\b", about) for preset in PARAMS)
    assert {preset for preset, model in PARAMS.items() if model.model_fields["dataset"].is_required()} == {*OWN_ONLY}


def test_the_nearest_command_is_named() -> None:
    done = CliRunner().invoke(main, ["clasify", "."])
    assert done.exit_code == 2 and "No such command 'clasify'. Did you mean 'classify'?" in done.stderr
    assert "Did you mean" not in CliRunner().invoke(main, ["quux"]).stderr
