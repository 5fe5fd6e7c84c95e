"""Records on stdout: as a table for people; as JSON, NDJSON or CSV for programs. Records are streamed."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Literal

import click

from shared.domain.csv_cells import escape_formula

Format = Literal["table", "json", "ndjson", "csv"]
Json = dict[str, Any]
Columns = Mapping[str, Callable[[Json], Any]]

#: Rows that are read before a table's first line is written, to find the widths of its columns.
LOOK_AHEAD = 500


@dataclass(frozen=True)
class Table:
    """Columns of a kind of record, in tables and in CSV, and the colour of a record's row."""

    columns: Columns
    csv: Columns
    colour: Callable[[Json], str | None] = lambda _record: None
    look_ahead: int = LOOK_AHEAD


def write_records(records: Iterable[Json], table: Table, output: Format) -> None:
    """Write a list of records; as JSON, one array."""
    writers = {"table": _write_table, "csv": _write_csv, "ndjson": _write_ndjson}
    if output == "json":
        _write_array(records, "[", "]\n")
    else:
        writers[output](records, table)


def write_document(head: Json, name: str, records: Iterable[Json]) -> None:
    """Write one JSON object: the entries of `head`, and the records as an array called `name`."""
    start = json.dumps(head)[:-1]
    _write_array(records, f"{start}, {json.dumps(name)}: [", "]}\n")


def write_record(record: Json, table: Table, output: Format) -> None:
    """Write one record; as a table, one line for each column."""
    if output == "json":
        click.echo(_json(record, indent=2))
    elif output == "table":
        width = max(map(len, table.columns))
        for name, value in table.columns.items():
            click.echo(f"{click.style(f'{name:<{width}}', bold=True)}  {_cell(value(record))}")
    else:
        write_records([record], table, output)


def _json(record: Json, **layout: Any) -> str:
    """Return the record as JSON, with escapes if stdout cannot write every character."""
    return json.dumps(record, ensure_ascii="utf" not in (sys.stdout.encoding or "").lower(), **layout)


def _write_array(records: Iterable[Json], before: str, after: str) -> None:
    click.echo(before, nl=False)
    for number, record in enumerate(records):
        click.echo(f"{',' if number else ''}\n{_json(record)}", nl=False)
    click.echo(f"\n{after}", nl=False)


def _write_ndjson(records: Iterable[Json], _table: Table) -> None:
    for record in records:
        click.echo(_json(record))  # flushes: each line appears when its item has finished


def _write_csv(records: Iterable[Json], table: Table) -> None:
    click.echo(_csv_line(table.csv))
    for record in records:
        click.echo(_csv_line(escape_formula(value(record)) for value in table.csv.values()))


def _csv_line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(values)  # with its default line end: with another one it would not quote "\r"
    return line.getvalue().removesuffix("\r\n")


def _write_table(records: Iterable[Json], table: Table) -> None:
    rows = (([_cell(value(record)) for value in table.columns.values()], table.colour(record)) for record in records)
    first = list(islice(rows, table.look_ahead))
    widths = [max([len(name), *(len(cells[n]) for cells, _ in first)]) for n, name in enumerate(table.columns)]
    click.secho(_line(table.columns, widths), bold=True)
    for cells, colour in chain(first, rows):
        click.secho(_line(cells, widths), fg=colour)


def _line(cells: Iterable[str], widths: list[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return str(value)
