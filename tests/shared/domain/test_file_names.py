"""Names as they are shown, and names that some file system takes for one."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.file_names import UniqueNames, comparable, shown_name


@pytest.mark.parametrize(
    "name",
    [
        "\U0001fae8.png",  # an emoji that Python 3.11 does not know
        "\U0001f468\u200d\U0001f469\u200d\U0001f467.png",  # a family: emoji with joiners
        "می\u200cخواهم.png",  # a non-joiner within a word
        "\uf8ff.png",  # private use: Apple's logo
        "\U000e0067\u200b\ufeff\u00ad.png",
        "名前\u3000写真.png",
        "4.05.06\u202fPM.png",  # macOS puts this space into the names of screenshots
        "e\u0301.png",
        "\u00e9.png",
    ],
)
def test_only_controls_and_bidirectional_marks_are_dropped(name):
    assert shown_name(name) == name


def test_what_is_dropped():
    assert shown_name("a\x00\x07\x1b\x7f\x9f\u061c\u200e\u202e\u2066b.png") == "ab.png"
    assert shown_name("a\tb\nc\r\nd\u2028e") == "a b c  d e"
    assert shown_name("a\udcfc.png") == "a\ufffd.png"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\u061c\u200e\u200f")))
def test_other_characters_stay(name):
    kept = [char for char in name if unicodedata.bidirectional(char) not in {"LRE", "RLE", "LRO", "RLO", "PDF"}]
    kept = [char for char in kept if unicodedata.bidirectional(char) not in {"LRI", "RLI", "FSI", "PDI"}]
    assert shown_name(name) == "".join(kept)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Grüße", "Gru\u0308ße"), ("ÉTÉ", "e\u0301te\u0301"), ("각", "\u1100\u1161\u11a8"), ("Å", "\u212b")],
)
def test_names_that_one_file_system_takes_for_one(one, other):
    assert comparable(one) == comparable(other)
    names = UniqueNames(comparable)
    assert [names.add(f"cat/{name}.png") for name in (one, other)] == [f"cat/{one}.png", f"cat/{other} (2).png"]


@given(st.lists(st.sampled_from(["a", "A", "a (2)", "a.png", "a (2).png", "x/a.png", "a.", ".a"]), max_size=30))
def test_names_become_unique(names):
    unique = UniqueNames()
    found = [unique.add(name) for name in names]
    assert len(set(found)) == len(names)
    assert set(names) <= set(found)
