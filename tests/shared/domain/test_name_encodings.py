"""Encodings of names: which can be given, and what comes out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.name_encodings import (
    DOS_ENCODINGS,
    UNIX_ENCODINGS,
    decode_name,
    guess_encoding,
    is_utf8,
    known_encoding,
)


@pytest.mark.parametrize(
    ("given_name", "codec"),
    [
        ("cp932", "cp932"), ("Shift_JIS", "shift_jis"), ("windows-1252", "cp1252"), ("latin1", "latin_1"),
        ("UTF-8", "utf_8"), ("cp936", "gbk"), ("cp737", "cp737"), ("cp720", "cp720"), ("koi8-r", "koi8_r"),
    ],
)  # fmt: skip
def test_known_encodings(given_name, codec):
    assert known_encoding(given_name) == codec


@pytest.mark.parametrize(
    "name",
    ["", "utf-16", "utf-7", "idna", "punycode", "hex", "rot13", "base64", "zlib", "unicode_escape", "mbcs",
     "raw_unicode_escape", "../os", "aliases", "undefined", "x" * 40, "hz"],
)  # fmt: skip
def test_other_encodings(name):
    assert known_encoding(name) is None


@given(
    st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from([DOS_ENCODINGS, UNIX_ENCODINGS]),
)
def test_any_bytes_become_a_name(names, candidates):
    guessed = guess_encoding(names, candidates)
    for name in names:
        text = decode_name(name, guessed)
        text.encode()
        assert not name.isascii() or text == name.decode()


@given(st.text(st.characters(min_codepoint=0x800, codec="utf-8"), min_size=1), st.sampled_from(DOS_ENCODINGS))
def test_utf8_of_three_bytes_is_utf8_beside_anything(name, encoding):
    assert is_utf8(name.encode())
    assert decode_name(name.encode(), encoding) == name
