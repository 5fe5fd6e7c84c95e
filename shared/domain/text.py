"""Decode text files that people hand in: with or without a byte order mark (BOM), and UTF-16 from Excel or Notepad."""

from __future__ import annotations

import codecs

from shared.domain.errors import InvalidRequest

#: Encoding for each byte order mark, the longer marks first: that of UTF-32 begins with that of UTF-16.
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode_text(content: bytes, what: str) -> str:
    """Return the text in `content` without its byte order mark: UTF-16 or UTF-32 if that says so, else UTF-8.

    Raises InvalidRequest, which names the text as `what`, if it is neither.
    """
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        place = f"the byte {error.object[error.start]:#04x} at position {error.start}"
        name = encoding.removesuffix("-sig").upper()
        raise InvalidRequest(f"{what} is not {name} text: {place} does not fit. Save it as UTF-8.") from error
    if "\0" in text:
        raise InvalidRequest(f"{what} is not text: it contains the byte 0. Save it as UTF-8.")
    return text
