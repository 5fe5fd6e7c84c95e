"""Records on stdout."""

from __future__ import annotations

import csv
import io

import pytest

from cli.terminal.output import Table, write_records
from cli.terminal.tables import field_columns
from shared.domain.csv_cells import FORMULA_STARTS


def test_csv_cells_are_not_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{start}1" for start in FORMULA_STARTS]
    write_records(({"name": name} for name in names), Table({}, field_columns("name")), "csv")
    written = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert [row["name"] for row in written] == [f"'{name}" for name in names]
