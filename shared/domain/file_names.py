"""Names of files as people see them: what is harmful in them, and when file systems take two for one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

#: Bidirectional marks: they can make a name look like another one.
BIDI_MARKS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_LINE_BREAKS = re.compile("[\t-\r\x1c-\x1f\x85\u2028\u2029]")
_HARMFUL = re.compile(f"[\0-\x1f\x7f-\x9f{BIDI_MARKS}]")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def shown_name(name: str) -> str:
    """Return a name without controls and bidirectional marks, which are dropped, and line breaks, which become blanks.

    All other characters stay: joiners between emoji, private-use characters, and those that this Python does not know.
    """
    return _LONE_SURROGATES.sub("\ufffd", _HARMFUL.sub("", _LINE_BREAKS.sub(" ", name)))


def comparable(name: str) -> str:
    """Return a text that is equal for names that some file system takes for one: it ignores case or composition.

    macOS ignores both (Unicode Standard 3.13, D145: canonical caseless match).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


class UniqueNames:
    """Makes names unique. Names with the same `key` count as the same."""

    def __init__(self, key: Callable[[str], str] = str) -> None:
        self._key = key
        self._last: dict[str, int] = {}

    def add(self, path: str) -> str:
        """Return the path, or with ` (2)` and so on before its extension if it is in use."""
        if self._is_new(path):
            return path
        folder, slash, name = path.rpartition("/")
        stem, dot, extension = name.rpartition(".")
        known = self._key(path)
        while True:
            number = self._last[known] = self._last[known] + 1
            other = f"{stem} ({number}).{extension}" if dot else f"{name} ({number})"
            if self._is_new(folder + slash + other):
                return folder + slash + other

    def _is_new(self, path: str) -> bool:
        known = self._key(path)
        if known in self._last:
            return False
        self._last[known] = 1
        return True
