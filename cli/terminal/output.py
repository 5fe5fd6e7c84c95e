"""Results on stdout: a table for people; JSON, a JSON object a line, or CSV for programs. Nothing is collected."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

import click

from shared.domain.csv_cells import escape_formula

Format = Literal["table", "json", "ndjson", "csv"]
Json = dict[str, Any]
Columns = Mapping[str, Callable[[Json], Any]]

#: Rows of a table that are looked at before the first is written, to know how wide its columns are.
LOOK_AHEAD = 500


@dataclass(frozen=True)
class View:
    """How records of a kind are shown: the columns of a table, those of CSV, and the colour of a record's row."""

    table: Columns
    csv: Columns
    colour: Callable[[Json], str | None] = lambda _record: None
    look_ahead: int = LOOK_AHEAD


def write_all(records: Iterable[Json], view: View, form: Format) -> None:
    """A list of records; as JSON one array."""
    writers = {"table": _table, "csv": _csv, "ndjson": _ndjson}
    if form == "json":
        _array(records, "[", "]\n")
    else:
        writers[form](records, view)


def write_document(head: Json, name: str, records: Iterable[Json]) -> None:
    """One JSON object: the entries of `head`, and the records as a list called `name`."""
    start = json.dumps(head)[:-1]
    _array(records, f"{start}, {json.dumps(name)}: [", "]}\n")


def write_one(record: Json, view: View, form: Format) -> None:
    """One record; as a table its columns below one another."""
    if form == "json":
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
    elif form == "table":
        width = max(map(len, view.table))
        for name, value in view.table.items():
            click.echo(f"{click.style(f'{name:<{width}}', bold=True)}  {_shown(value(record))}")
    else:
        write_all([record], view, form)


def _array(records: Iterable[Json], before: str, after: str) -> None:
    click.echo(before, nl=False)
    for number, record in enumerate(records):
        click.echo(f"{',' if number else ''}\n{json.dumps(record, ensure_ascii=False)}", nl=False)
    click.echo(f"\n{after}", nl=False)


def _ndjson(records: Iterable[Json], _view: View) -> None:
    for record in records:
        click.echo(json.dumps(record, ensure_ascii=False))  # which flushes: a line comes as its item finishes


def _csv(records: Iterable[Json], view: View) -> None:
    click.echo(_csv_line(view.csv))
    for record in records:
        click.echo(_csv_line(escape_formula(value(record)) for value in view.csv.values()))


def _csv_line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)  # with the line end that it has by itself: else it would not quote a "\r"
    return line.getvalue().removesuffix("\r\n")


def _table(records: Iterable[Json], view: View) -> None:
    rows = (([_shown(value(record)) for value in view.table.values()], view.colour(record)) for record in records)
    first = list(islice(rows, view.look_ahead))
    widths = [max([len(name), *(len(cells[place]) for cells, _ in first)]) for place, name in enumerate(view.table)]
    click.secho(_line(view.table, widths), bold=True)
    for cells, colour in chain(first, rows):
        click.secho(_line(cells, widths), fg=colour)


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)
