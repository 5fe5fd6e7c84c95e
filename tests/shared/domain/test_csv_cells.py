from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.csv_cells import FORMULA_STARTS, escape_formula


@given(st.text() | st.sampled_from(FORMULA_STARTS).flatmap(lambda start: st.text().map(start.__add__)))
def test_no_cell_is_a_formula(text: str) -> None:
    cell = escape_formula(text)
    assert len(cell) < 2 or not cell.startswith(FORMULA_STARTS)
    assert cell in (text, f"'{text}")


@pytest.mark.parametrize("value", [-1, -0.5, None, 0.25, "-", "cat"])
def test_other_values_are_unchanged(value: object) -> None:
    assert escape_formula(value) is value
