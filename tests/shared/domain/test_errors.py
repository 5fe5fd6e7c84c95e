"""Messages of errors."""

from __future__ import annotations

import pytest

from shared.domain.errors import you_have


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ""),
        (["pear", "apple"], "; you have: apple, pear"),
        ("lkjihgfedcba", "; you have: a, b, c, d, e, f, g, h, i, j and 2 more"),
    ],
)
def test_names_that_there_are(names: list[str], expected: str) -> None:
    assert you_have(names) == expected
