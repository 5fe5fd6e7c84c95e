"""Text that people hand in, as their programs save it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidRequest
from shared.domain.text import decode_text

#: utf-16 and utf-32 write their byte order mark themselves, in the order of this machine.
ENCODINGS = {
    "plain": lambda text: text.encode(),
    "Notepad": lambda text: text.encode("utf-8-sig"),
    "Excel": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "big-endian": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "utf-32": lambda text: text.encode("utf-32"),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")))
def test_a_text_is_read_as_it_was_saved(encoding: str, text: str) -> None:
    assert decode_text(ENCODINGS[encoding](text), "the file") == text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("Käse".encode("latin-1"), "UTF-8 text: the byte 0xe4 at position 1"),
        (b"\xef\xbb\xbfa\xff", "UTF-8 text: the byte 0xff"),
        (b"\xff\xfea", "UTF-16 text: the byte 0x61"),
        ("air".encode("utf-16-le"), "the byte 0"),
        (b"PK\x03\x04\0\0", "the byte 0"),
    ],
)
def test_what_is_not_text_is_named(content: bytes, fault: str) -> None:
    with pytest.raises(InvalidRequest, match="the file is not") as caught:
        decode_text(content, "the file")
    assert fault in str(caught.value)
    assert "Save it as UTF-8" in str(caught.value)
