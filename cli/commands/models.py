"""`darkroom models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from cli.client import NotSent
from cli.commands.classifiers import promote_in
from cli.options import output_option
from cli.service import connect
from cli.terminal.output import Format, write_record, write_records
from cli.terminal.tables import CHAMPION, COMPARISON, MODEL, MODELS
from shared.domain.errors import InvalidRequest
from shared.domain.text import decode_text
from shared.models.exports import ExportFormat
from shared.models.labels import parse_labels


@click.group("models")
def command() -> None:
    """List, compare, promote, import and export model versions."""


@command.command("list")
@click.option("--classifier", metavar="NAME", help="Only versions of this classifier.")
@output_option
def list_(*, classifier: str | None, output: Format) -> None:
    """List all versions, newest first."""
    with connect() as client:
        write_records(client.models(classifier=classifier), MODELS, output)


@command.command()
@click.argument("version")
@output_option
def show(version: str, *, output: Format) -> None:
    """Show a version; -o json prints its whole card."""
    with connect() as client:
        write_record(client.model(version), MODEL, output)


@command.command(short_help="Compare two versions on the same test images.")
@click.argument("first")
@click.argument("second")
@output_option
def compare(first: str, second: str, *, output: Format) -> None:
    """Compare the SECOND version with the FIRST on the same test images."""
    with connect() as client:
        write_record(client.compare(first, second), COMPARISON, output)


@command.command(short_help="Make a version the champion of its classifier.")
@click.argument("version")
@click.option("--instead-of", metavar="VERSION", help="Only if this version is still the champion.")
@output_option
def promote(version: str, *, instead_of: str | None, output: Format) -> None:
    """Make a version the champion of its classifier, which serves new jobs. Running jobs keep their version."""
    with connect() as client:
        classifier = client.model(version)["classifier"]
        write_record(promote_in(client, classifier, version, instead_of)["champion"], CHAMPION, output)


def _numbers(_: click.Context, option: click.Parameter, text: str | None) -> list[float] | float | None:
    """Return one number, or three that are separated by commas. Raises BadParameter."""
    if text is None:
        return None
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError as error:
        raise click.BadParameter("must be a number, or three with commas between them", param=option) from error
    return numbers[0] if len(numbers) == 1 else numbers


@command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--labels", metavar="A,B,…", help="Class names in the order of the outputs, or a file with one per line.")
@click.option(
    "--value-range",
    metavar="RANGE",
    help="Pixel values that the model takes: 0-255, 0-1, -1..1, imagenet or imagenet-bgr. Detected by default.",
)
@click.option("--scale", callback=_numbers, metavar="S|R,G,B", help="Or: the factor of the values 0 to 255, …")
@click.option("--offset", callback=_numbers, metavar="O|R,G,B", help="… what is added then, …")
@click.option("--channels", type=click.Choice(["RGB", "BGR"]), help="… and the order of the channels.")
@click.option(
    "--resize",
    type=click.Choice(["squash", "crop"]),
    help="What it sees of a picture: all of it, squashed, or the middle. Known for Teachable Machine and Lobe.",
)
@click.option("--name", help="Name of the model.")
@click.option("--classifier", metavar="NAME", help="Classifier that gets the version. Default: named as the file.")
@output_option
def import_(file: Path, *, labels: str | None, output: Format, **options: Any) -> None:
    """Import a model that was trained elsewhere.

    FILE is of Keras (.keras, .h5), ONNX or TFLite, or a zip archive with one of these, with a SavedModel, or with
    OpenVINO's .xml and .bin. What Teachable Machine, Lobe and Custom Vision export is imported as it is. Models that
    would run code are refused.
    """
    with connect() as client:
        card = client.import_model(file, labels=_parse_labels(labels) if labels else None, **options)
        write_record(card, MODEL, output)


@command.command("export")
@click.argument("version")
@click.option(
    "--format",
    "kind",
    type=click.Choice([each.value for each in ExportFormat]),
    required=True,
    help="Format of the network.",
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="The zip (default: VERSION-FORMAT.zip)."
)
def export_(version: str, kind: Literal["onnx", "litert", "openvino", "keras"], out: Path | None) -> None:
    """Write a version to a zip for other programs.

    It has the network, its labels, and `predict.py`, which answers as Darkroom does.
    """
    file = out or Path(f"{version}-{kind}.zip")
    if file.exists():
        raise NotSent(f"{file} is there already: choose another place")
    with connect() as client:
        client.export_model(version, file, format=kind)
    click.echo(f"{version} is in {file}; predict.py in it shows how to use it.", err=True)


def _parse_labels(labels: str) -> list[str]:
    """Return the names in `a,b,c`, or in a file with one name per line. Raises BadParameter."""
    if not Path(labels).is_file():
        return [label.strip() for label in labels.split(",") if label.strip()]
    try:
        return parse_labels(decode_text(Path(labels).read_bytes(), labels))
    except InvalidRequest as error:
        raise click.BadParameter(str(error), param_hint="--labels") from error
