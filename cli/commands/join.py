"""`darkroom join`."""

from __future__ import annotations

import os
import sys

import click

from cli.stack.gpu import announce
from cli.stack.join import run
from shared.domain.errors import DarkroomError
from shared.settings import PREFIX, load_settings


@click.command("join")
@click.option("--redis", metavar="URL", help="Redis of the service. Default: DARKROOM_REDIS_URL.")
@click.option(
    "--storage",
    metavar="URL",
    help="Storage of the service, such as s3://bucket/prefix. Default: DARKROOM_STORAGE_URL.",
)
@click.option(
    "--classify",
    type=click.IntRange(min=0),
    metavar="N",
    help="Processes that classify, and one more for small jobs; 0 for none. Default: DARKROOM_CLASSIFY_WORKERS, or 2.",
)
@click.option("--train", is_flag=True, help="Also train, one training at a time.")
@click.option("--gpu", is_flag=True, help="Use this machine's NVIDIA GPU.")
def command(redis: str | None, storage: str | None, classify: int | None, *, train: bool, gpu: bool) -> None:
    """Work for a service that runs on another machine. Ctrl-C hands unfinished work back and leaves.

    The credentials of the storage come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The other settings are
    environment variables, as for `up`; docs/settings.md lists them.
    """
    if classify == 0 and not train:
        raise click.UsageError("nothing to do: --classify 0 without --train")
    options = {"REDIS_URL": redis, "STORAGE_URL": storage, "CLASSIFY_WORKERS": str(classify) if classify else None}
    os.environ |= {PREFIX + name: value for name, value in options.items() if value is not None}  # also for the workers
    try:
        announce(wanted=gpu)
        sys.exit(run(load_settings(), classify=classify != 0, train=train))
    except DarkroomError as error:
        raise click.ClickException(str(error)) from error
