"""`darkroom train`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import click

from cli.client import Client
from cli.jobs.follow import follow
from cli.options import output_option, timeout_option, webhook_option
from cli.service import connect
from cli.terminal.exit_codes import echo_err, exit_with
from cli.terminal.output import Format, Table, write_record, write_records
from cli.terminal.tables import JOBS, field_columns
from shared.domain.classifier import EVERYDAY
from shared.domain.errors import you_have

#: Presets that learn from a dataset of an owner only.
OWN_ONLY = ("head", "finetune")

PARAMETERS = Table(
    {
        name.upper(): value
        for name, value in field_columns("preset", "parameter", "default", "allowed", "description").items()
    },
    field_columns("preset", "parameter", "default", "allowed", "description"),
)


@click.command("train", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option(
    "--preset",
    metavar="PRESET",
    help="What to train: fast, seed, classic, wide or distil; on a dataset of yours also head or finetune. "
    "[default: fast; on a dataset of yours: head]",
)
@click.option("--epochs", type=int, help="Passes over the training images.")
@click.option("--batch-size", type=int, help="Images per gradient step.")
@click.option("--learning-rate", type=float, help="Peak step size of the optimizer.")
@click.option("--augment/--no-augment", default=None, help="Vary the training images: mirror, shift and so on.")
@click.option("--label-smoothing", type=float, help="Probability in the target that is spread over all labels.")
@click.option("--seed", type=int, help="The same seed gives the same model on the same machine.")
@click.option("--dataset", help="Training images: cifar10, cifar10+corrections or a dataset of yours.")
@click.option(
    "--backbone", metavar="NETWORK", help="Pretrained network that head and finetune start from. [default: everyday]"
)
@click.option("--base", metavar="VERSION", help="Start from the weights of this model version.")
@click.option("--promote", metavar="RULE", help="Make the new version the champion: never, if_better or always.")
@click.option("--presets", is_flag=True, help="List the presets with their parameters instead of training.")
@click.option("--watch", is_flag=True, help="Follow the training to its end instead of writing its job id.")
@output_option
@timeout_option
@webhook_option
@click.pass_context
def command(
    context: click.Context, /, *, presets: bool, watch: bool, output: Format, timeout_s: float | None, **given: Any
) -> None:
    """Train a model. The preset sets every parameter that is not given.

    The other parameters that `--presets` lists are options too: `--preset seed --first-filters 8`.
    """
    params = {name: value for name, value in given.items() if value is not None} | others(context.args)
    with connect(timeout_s) as client:
        if presets:
            write_records(parameters(client.presets()), PARAMETERS, output)
            return
        if params.get("preset") in OWN_ONLY and "dataset" not in params:
            raise click.UsageError(f"{params['preset']} needs a dataset of yours: --dataset NAME{_datasets(client)}")
        if params.get("preset") == "finetune" and (minutes := expected_minutes(client, params)):
            echo_err(f"This takes about {minutes} min, by the speed of the last training. It may end early.")
        job = client.train(**params)
        if watch:
            exit_with(follow(client, job, output, None, timeout_s))
        elif output == "table":
            click.echo(job["id"])
        else:
            write_record(job, JOBS, output)


def _datasets(client: Client) -> str:
    """Return the end of a message that lists the datasets, or says how to create one."""
    names = [dataset["name"] for dataset in client.datasets()]
    return you_have(names) or "; to create one: ./darkroom datasets create NAME"


def expected_minutes(client: Client, params: dict[str, Any]) -> int | None:
    """Return how long a training on a Dataset is expected to take, or None if that is not known.

    The speed is known of the usual Backbone.
    """
    if params.get("backbone", EVERYDAY.name) != EVERYDAY.name:
        return None
    preset = next((each for each in client.presets()["data"] if each["name"] == params["preset"]), None)
    if preset is None or preset["cost"]["images_per_s"] is None or "dataset" not in params:
        return None
    labels = client.dataset(params["dataset"])["labels"]
    epochs = params.get("epochs", preset["parameters"]["epochs"]["default"])
    seconds: float = epochs * sum(label["train"] for label in labels) / preset["cost"]["images_per_s"]
    return math.ceil(seconds / 60)


def others(words: Sequence[str]) -> dict[str, Any]:
    """Parse `--name value` and `--name=value`, values as JSON if they are JSON. Raise UsageError."""
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or not (equals or rest):
            raise click.UsageError(f"{name!r} is not an option with a value")
        found[name[2:].replace("-", "_")] = _value(value if equals else rest.pop(0))
    return found


def parameters(presets: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a record for each parameter of each preset; `all` stands for those in common."""
    groups = [("all", presets["common"])] + [(each["name"], each["parameters"]) for each in presets["data"]]
    return [
        {"preset": preset, "parameter": name, "allowed": _allowed(about), **about}
        for preset, group in groups
        for name, about in group.items()
    ]


def _allowed(about: dict[str, Any]) -> str:
    if "enum" in about:
        return ", ".join(about["enum"])
    if "minimum" in about:
        return f"{about['minimum']:g} to {about['maximum']:g}"
    return "true, false" if about["type"] == "boolean" else "a name"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
