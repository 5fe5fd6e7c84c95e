"""Names of uploaded files."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from web.uploads.intake import MAX_FILENAME, clean_filename


@given(st.text())
def test_clean_filename(name):
    kept = clean_filename(name)
    assert 0 < len(kept) <= MAX_FILENAME and kept == kept.strip()
    assert clean_filename(kept) == kept


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1, max_size=MAX_FILENAME))
def test_clean_filename_keeps_printable_names(name):
    assert clean_filename(name) == name
