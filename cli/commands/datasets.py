"""`darkroom datasets`."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import click

from cli.client import Client, Conflict, NotFound
from cli.client.files import label_of
from cli.jobs.archive import export
from cli.jobs.follow import follow, follow_import
from cli.jobs.upload import Target, Uploader
from cli.options import (
    list_skipped_option,
    names_option,
    output_option,
    sources_argument,
    timeout_option,
    webhook_option,
)
from cli.service import connect
from cli.terminal.dataset_tables import DATASET, DATASET_LABELS, DATASETS, NAMED, PICTURES, REPORT
from cli.terminal.exit_codes import ExitCode, echo_err, exit_with
from cli.terminal.output import Format, Json, write_record, write_records
from cli.terminal.tables import JOBS

#: Said when pictures leave the training set and a version may have learnt from them.
MAY_HAVE_LEARNT = (
    "The champion of {0} may have learnt from them: then no new version can be compared with it.\n"
    "Train the next one with --promote always: ./darkroom train --preset head --dataset {0} --promote always"
)


@click.group("datasets")
def command() -> None:
    """Datasets: labelled pictures that a classifier of your own learns from."""


@command.command("list")
@output_option
def list_(*, output: Format) -> None:
    """List your datasets."""
    with connect() as client:
        write_records(client.datasets(), DATASETS, output)


@command.command()
@click.argument("name")
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="Label; can be repeated. Imports add more.")
@output_option
def create(name: str, *, labels: tuple[str, ...], output: Format) -> None:
    """Create a dataset. Its NAME has only a-z, 0-9 and -, e.g. my-fruit."""
    with connect() as client:
        write_record(client.create_dataset(name, labels), DATASET, output)


@command.command(short_help="Show a dataset, and the number of pictures of each label.")
@click.argument("name")
@output_option
def show(name: str, *, output: Format) -> None:
    """Show a dataset, and how many pictures of each label are for training and for the test."""
    with connect() as client:
        dataset = client.dataset(name)
    write_record(dataset, DATASET, output)
    if output == "table":
        _write_labels(dataset)


@command.command(short_help="Add pictures: folders, archives or files.")
@click.argument("name")
@sources_argument
@click.option("--label", metavar="LABEL", help="Label of all pictures. Default: the folder that holds a picture.")
@click.option("--flat", is_flag=True, help="Folders are not labels: without --label, pictures stay unlabelled.")
@click.option("--watch/--no-watch", default=True, help="Wait for the end, or print the job's id. [default: watch]")
@output_option
@timeout_option
@webhook_option
@names_option
@list_skipped_option
def add(
    name: str,
    sources: tuple[str, ...],
    *,
    label: str | None,
    flat: bool,
    watch: bool,
    output: Format,
    timeout_s: float | None,
    webhook: str | None,
    names: str | None,
    list_skipped: bool,
) -> None:
    """Add pictures to a dataset: folders with a folder for each label, archives, or pictures.

    The label of a picture is --label, or what `labels.csv` in the folder or archive says, or the name of the folder
    that holds it.
    Pictures that the dataset already has are not added again. To resume an interrupted upload, run the same command
    again in the same folder within a day; nothing is sent twice.
    """
    deadline = time.monotonic() + timeout_s if timeout_s is not None else float("inf")
    with connect(timeout_s) as client:
        _check_exists(client, name)
        opened = partial(client.open_import, name, label=label, flat=flat, webhook=webhook)
        target = Target(opened, ("import", name, label, str(flat), webhook), relative=True)
        uploader = Uploader(client, target, deadline, names, list_skipped)
        job, code = uploader.run(sources), ExitCode.OK
        if len(sources) == 1 and not (label or flat) and (got := label_of(sources[0])):
            echo_err(f"The pictures in {sources[0]} got the label {got}; for another one: --label LABEL")
        remaining_s = None if timeout_s is None else max(0, deadline - time.monotonic())
        if not watch and output == "table":
            click.echo(job["id"])
        elif not watch:
            write_record(job, JOBS, output)
        elif output != "table":
            code = follow(client, job, output, None, remaining_s)
        else:
            code = follow_import(client, job["id"], remaining_s)
            if not job["error"]:
                _write_labels(dataset := client.dataset(name))
                _name_empty_labels(dataset)
        exit_with(ExitCode.SOME_FAILED if uploader.problems and code is ExitCode.OK else code)


@command.command()
@click.argument("name")
@click.option("--label", metavar="LABEL", help="Only pictures with this label.")
@click.option("--state", type=click.Choice(["labelled", "unlabelled"]), help="Only these.")
@click.option("--split", type=click.Choice(["train", "test"]), help="Only pictures on this side of the split.")
@click.option("--file", "q", metavar="TEXT", help="Only pictures with this text in the name of their file.")
@click.option("--group", metavar="GROUP", help="Only near copies of each other, which have this group.")
@click.option("--doubt", type=click.FloatRange(0, 1), metavar="D", help="Only labels doubted by at least D, 0 to 1.")
@click.option(
    "--sort",
    type=click.Choice(["oldest", "newest", "doubt", "suggested"]),
    help="Order; suggested: those to label next. [default: oldest]",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Maximum number of pictures.")
@output_option
def pictures(name: str, *, limit: int | None, output: Format, **wanted: Any) -> None:
    """List the pictures of a dataset."""
    with connect() as client:
        write_records(islice(client.pictures(name, **wanted), limit), PICTURES, output)


@command.command(short_help="Show what is wrong or thin in a dataset.")
@click.argument("name")
@output_option
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Show what there is after this time, also if it is for an earlier revision. Default: wait for a worker.",
)
def report(name: str, *, output: Format, timeout_s: float | None) -> None:
    """Show what is wrong or thin in a dataset; -o json has every picture that is named."""
    with connect() as client:
        write_record(client.report(name, timeout_s=timeout_s), REPORT, output)


@command.command("label")
@click.argument("name")
@click.argument("label")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def label_(name: str, label: str, ids: tuple[str, ...]) -> None:
    """Give pictures another label, which the dataset must have.

    With - as ID, ids are read from stdin.
    """
    wanted = dict.fromkeys(_ids(ids), label)
    with connect() as client:
        client.label_pictures(name, wanted)
    echo_err(f"{_count(wanted)}: {label}")


@command.command()
@click.argument("name")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def unlabel(name: str, ids: tuple[str, ...]) -> None:
    """Remove the label of pictures. With - as ID, ids are read from stdin."""
    wanted = dict.fromkeys(_ids(ids))
    with connect() as client:
        client.label_pictures(name, wanted)
    echo_err(f"{_count(wanted)}: no label")


@command.command(short_help="Keep labels that the report doubts.")
@click.argument("name")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--forget", is_flag=True, help="Forget that labels were kept: they may be doubted again.")
def keep(name: str, ids: tuple[str, ...], *, forget: bool) -> None:
    """Keep the labels of pictures that the report doubts: they are not doubted for the same reason again.

    With - as ID, ids are read from stdin.
    """
    wanted = dict.fromkeys(_ids(ids))
    with connect() as client:
        for number in wanted:
            other = None if forget else _doubting(client.picture(name, number))
            client.reject_label(name, number, other)
            echo_err(f"{number}: {'may be doubted again' if forget else f'kept, not {other}'}")


@command.command()
@click.argument("name")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def accept(name: str, ids: tuple[str, ...]) -> None:
    """Give pictures the labels that the report suggests for them. With - as ID, ids are read from stdin."""
    with connect() as client:
        wanted = {number: _suggested(client.picture(name, number)) for number in _ids(ids)}
        client.label_pictures(name, wanted)
    for number, text in wanted.items():
        echo_err(f"{number}: {text}")


@command.command(short_help="Pin pictures to the training set or the test.")
@click.argument("name")
@click.argument("split", type=click.Choice(["train", "test"]))
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def pin(name: str, split: Any, ids: tuple[str, ...]) -> None:
    """Pin pictures, with their near copies, to a side of the split."""
    wanted = dict.fromkeys(_ids(ids))
    with connect() as client:
        learnt = split == "test" and any(client.picture(name, number)["split"] == "train" for number in wanted)
        for number in wanted:
            client.pin_picture(name, number, split)
        echo_err(f"{_count(wanted)}, with near copies: {split}")
        if learnt and any(each["name"] == name and each["champion"] for each in client.classifiers()):
            echo_err(MAY_HAVE_LEARNT.format(name))


@command.command("export", short_help="Write a dataset to a zip file or a folder.")
@click.argument("name")
@click.argument("target", type=click.Path(path_type=Path), required=False, metavar="[ZIP|DIR]")
def export_(name: str, target: Path | None) -> None:
    """Write a dataset to a zip file (default: NAME.zip), or to a folder: a folder for each label, and `labels.csv`."""
    place = target or Path(f"{name}.zip")
    with connect() as client:
        click.echo(f"{export(client, name, place):,} pictures are in {place}.", err=True)


@command.command(short_help="Delete a dataset, or some of its pictures.")
@click.argument("name")
@click.argument("ids", metavar="[ID...]", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, ids: tuple[str, ...], *, yes: bool) -> None:
    """Delete a dataset with all its pictures, or only the pictures with these ids.

    Models that were trained from it stay. With - as ID, ids are read from stdin.
    """
    with connect() as client:
        if ids:
            client.delete_pictures(name, _ids(ids))
            return
        count = client.dataset(name)["pictures"]
        if count and not yes:
            click.confirm(f"Delete the dataset {name} with {count:,} pictures?", abort=True, err=True)
        client.delete_dataset(name)


@command.command("add-label")
@click.argument("name")
@click.argument("label")
def add_label(name: str, label: str) -> None:
    """Add a label to a dataset."""
    with connect() as client:
        client.add_label(name, label)


@command.command("rename-label")
@click.argument("name")
@click.argument("old")
@click.argument("new")
@click.option("--merge", is_flag=True, help="If the dataset has a label NEW, unite the two.")
def rename_label(name: str, old: str, new: str, *, merge: bool) -> None:
    """Rename a label, or merge it into another one."""
    with connect() as client:
        try:
            label = client.rename_label(name, old, new, merge=merge)
        except Conflict as error:
            exit_with(ExitCode.FAILED, f"Error: {error}\nTo merge them: add --merge")
    echo_err(f"{old} is {new} now: {label['train']:,} pictures for training, {label['test']:,} for the test")
    if old != new:
        echo_err(f"Rename your folder {old} too: adding it again would make the label {old} again.")


@command.command("delete-label")
@click.argument("name")
@click.argument("label")
@click.option("--pictures", is_flag=True, help="Also delete its pictures. Default: they stay without a label.")
def delete_label(name: str, label: str, *, pictures: bool) -> None:
    """Delete a label of a dataset."""
    with connect() as client:
        client.delete_label(name, label, pictures="delete" if pictures else "unlabel")
    echo_err(f"{label} is deleted. Its pictures {'are, too' if pictures else 'stay, without a label'}.")


def _check_exists(client: Client, name: str) -> None:
    try:
        client.dataset(name)
    except NotFound as error:
        exit_with(ExitCode.USAGE, f"Error: {error}\nTo create it: ./darkroom datasets create {name}")


def _write_labels(dataset: Json) -> None:
    click.echo()
    write_records(dataset["labels"], DATASET_LABELS, "table")
    if dataset["unlabelled"]:
        click.echo(f"Without a label: {dataset['unlabelled']:,}")


def _name_empty_labels(dataset: Json) -> None:
    empty = [label["name"] for label in dataset["labels"] if not label["train"] + label["test"]]
    if empty:
        more = ", …" if len(empty) > NAMED else ""
        delete = f"./darkroom datasets delete-label {dataset['name']} LABEL"
        echo_err(f"Labels without pictures: {', '.join(empty[:NAMED])}{more}. To delete one: {delete}")


def _suggested(picture: Json) -> str:
    """Return the label that the report suggests for a picture, or end the program."""
    if not picture["suggested"]:
        exit_with(ExitCode.FAILED, f"Error: the report suggests no label for the picture {picture['id']}")
    return str(picture["suggested"]["label"])


def _doubting(picture: Json) -> str:
    """Return the label for which the report doubts a picture's own, or end the program."""
    if picture["label"] is None:
        exit_with(ExitCode.FAILED, f"Error: the picture {picture['id']} has no label to keep")
    return _suggested(picture)


def _count(ids: Collection[str]) -> str:
    return "1 picture" if len(ids) == 1 else f"{len(ids):,} pictures"


def _ids(words: tuple[str, ...]) -> list[str]:
    """Return the ids of the command line, or those on stdin."""
    return sys.stdin.read().split() if words == ("-",) else list(words)
