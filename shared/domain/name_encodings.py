"""Names of files whose encoding is not stated: UTF-8 if they are valid UTF-8, else the most plausible encoding.

Archives from Windows have names in the code page of their system, and old Unix systems have names in Latin-1, without
saying so. A name is plausible if its letters belong together; `decision 33` in `docs/decisions/` has the details.
"""

from __future__ import annotations

import encodings
import pkgutil
import re
import unicodedata
from collections.abc import Iterable, Sequence
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import cache
from itertools import islice, pairwise
from typing import Final

#: Encodings by preference: of two that are equally plausible, the first one counts.
DOS_ENCODINGS: Final = (
    "cp850", "cp437", "cp1252", "cp852", "cp866", "cp932", "cp949", "gbk", "big5", "cp1251", "cp1250",
)  # fmt: skip
UNIX_ENCODINGS: Final = ("cp1252", "cp1251", "cp1250", "koi8_r", "cp932", "cp949", "gbk", "euc_jp", "big5", "latin_1")

#: The first character of three bytes in UTF-8: other encodings hardly ever look like these.
MANY_BYTES: Final = "\u0800"
#: Python's codecs of domain names and of literals.
_FOR_OTHER_USES: Final = {"idna", "punycode", "unicode_escape", "raw_unicode_escape"}
#: Names that are looked at.
GUESS_NAMES: Final = 200

#: First bytes, and the least second byte, of the common characters in encodings with two bytes per character.
_COMMON: Final = {
    "cp932": (range(0x88, 0x99), 0x40),
    "euc_jp": (range(0xB0, 0xD0), 0xA1),
    "cp949": (range(0xB0, 0xC9), 0xA1),
    "gbk": (range(0xB0, 0xD8), 0xA1),
    "big5": (range(0xA4, 0xC7), 0x40),
}
#: Plausibility of a letter by the first word of its Unicode name.
_SCRIPTS: Final = {
    "LATIN": 1.0,
    "COMBINING": 1.0,
    "CYRILLIC": 1.0,
    "HIRAGANA": 1.5,
    "KATAKANA": 1.2,
    "KATAKANA-HIRAGANA": 1.2,
}
#: Punctuation that people use in names.
_PUNCTUATION: Final = frozenset("–—’‘“”„…・「」『』（）【】、。！？〜～·«»°№")
_WORD: Final = re.compile(r"[^\W\d_]+")
_SPACES: Final = frozenset("\xa0\u3000")


def known_encoding(name: str) -> str | None:
    """Return Python's name of an encoding in which ASCII is ASCII, or None for any other name."""
    module = normalize_encoding(name).lower()
    module = aliases.get(module, module)
    if module not in _modules():
        return None
    printable = bytes(range(0x20, 0x7F))
    try:
        return module if printable.decode(module) == printable.decode("ascii") else None
    except (LookupError, UnicodeError):
        return None


@cache
def _modules() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(encodings.__path__)) - _FOR_OTHER_USES


def is_utf8(raw: bytes) -> bool:
    """Return whether a name is valid UTF-8, as ASCII is."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def decode_name(raw: bytes, encoding: str | None) -> str:
    """Return a name that is UTF-8 or in `encoding`; bytes that are neither become U+FFFD.

    A name that could be both, as a few in Chinese are, is what is more plausible.
    """
    if raw.isascii() or encoding is None:
        return raw.decode(errors="replace")
    if is_utf8(raw) and _plausibility(raw, "utf_8") >= _plausibility(raw, encoding):
        return raw.decode()
    return raw.decode(encoding, "replace")


def guess_encoding(names: Iterable[bytes], candidates: Sequence[str]) -> str:
    """Return the most plausible of `candidates` for names that belong together and are not UTF-8."""
    whole = b"/".join(islice(names, GUESS_NAMES))
    return max(candidates, key=lambda encoding: _plausibility(whole, encoding))


def _plausibility(raw: bytes, encoding: str) -> float:
    """Return the mean plausibility of the characters that are not ASCII, at most 1.5."""
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return -10
    points = [_of_char(char, encoding) for char in text if not char.isascii()]
    words = [_of_word(word) for word in _WORD.findall(text) if not word.isascii()]
    return (sum(points) + sum(words)) / max(1, len(points))


def _of_char(char: str, encoding: str) -> float:
    if encoding == "utf_8" and char >= MANY_BYTES:
        return 1
    if char in _PUNCTUATION or char in _SPACES or unicodedata.category(char) == "Nd":
        return 0.2
    if unicodedata.category(char)[0] not in "LM":
        return -2  # a symbol, a line of a box, a control
    if (script := _script(char)) in ("CJK", "HANGUL"):
        return 1 if _is_common(char, encoding) else -0.5
    return _SCRIPTS.get(script, -1)


def _of_word(word: str) -> float:
    """Return what is implausible about the letters of a word, at most 0."""
    is_usual = word[1:] == word[1:].lower()  # also without upper and lower case
    case = 0.0 if is_usual else -0.2 if word == word.upper() else -1.5
    pairs = (pair for pair in pairwise(word) if not "".join(pair).isascii())
    return case + sum(_of_pair(*pair) for pair in pairs)


def _of_pair(one: str, two: str) -> float:
    """Return what is implausible about two neighbours that are not both ASCII, at most 0."""
    scripts = {_script(one), _script(two)}
    if scripts == {"LATIN"}:
        return 0 if one.isascii() or two.isascii() else -0.7
    return -0.7 if len(scripts & {"LATIN", "CYRILLIC", "CJK", "HANGUL", "HALFWIDTH"}) > 1 else 0


def _is_common(char: str, encoding: str) -> bool:
    leads, least = _COMMON.get(encoding, (range(0), 0))
    code = char.encode(encoding)
    return code[0] in leads and code[-1] >= least


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0]
