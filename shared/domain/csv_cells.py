"""Protection against CSV injection, as OWASP advises."""

from __future__ import annotations

from typing import Any

#: First characters of a formula in a spreadsheet, East Asian full-width forms included.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def escape_formula(value: Any) -> Any:
    """Return the value of a cell, with an apostrophe in front if a spreadsheet would run it as a formula.

    Only strings of two characters or more can be formulas; other values are returned as they are. Apostrophes before a
    formula get another one, so that `unescape_formula` returns the value.
    """
    formula = isinstance(value, str) and len(value) > 1 and value.lstrip("'").startswith(FORMULA_STARTS)
    return f"'{value}" if formula else value


def unescape_formula(value: str) -> str:
    """Return the text of a cell that `escape_formula` may have written."""
    return value[1:] if value.startswith("'") and value.lstrip("'").startswith(FORMULA_STARTS) else value
