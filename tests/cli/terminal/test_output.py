"""How records are written to stdout."""

from __future__ import annotations

import csv
import io

import pytest

from cli.terminal.output import View, write_all
from cli.terminal.tables import columns
from shared.domain.csv_cells import FORMULA_STARTS


def test_what_the_service_quotes_in_its_csv_is_quoted_here(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever a spreadsheet would take for a formula."""
    names = [f"{start}1" for start in FORMULA_STARTS]
    write_all(({"name": name} for name in names), View({}, columns("name")), "csv")
    written = csv.DictReader(io.StringIO(capsys.readouterr().out, newline=""))
    assert [row["name"] for row in written] == [f"'{name}" for name in names]
