"""Names of Datasets and Labels, and the limits of a Dataset."""

from __future__ import annotations

import re
import unicodedata

from shared.domain.classifier import SHIPPED_CLASSIFIERS
from shared.domain.errors import Fault, InvalidRequest

#: Names of Datasets, which are part of URLs.
NAME_PATTERN = re.compile(r"[a-z0-9-]{1,64}")
#: Names that a Dataset cannot have: its Classifier would have the name of one that ships with Darkroom.
RESERVED = frozenset(classifier.name for classifier in SHIPPED_CLASSIFIERS)
#: Datasets of one owner.
MAX_DATASETS = 1000
#: Labels of a Dataset: more would make its record, which has all of them, longer than 200 KB.
MAX_LABELS = 2000
#: Pictures of a Dataset. A training reads all of them in one call of Redis: 100,000 take about 0.1 s of its time.
MAX_PICTURES = 250_000
#: Characters in the name of a Label.
MAX_LABEL = 200
#: Categories of characters that a Label cannot have: control characters, separators of lines, and lone surrogates.
FORBIDDEN = {"Cc", "Zl", "Zp", "Cs"}
#: Characters that change the direction of a text: with them, two Labels can look alike.
DIRECTION = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def dataset_name(name: str) -> str:
    """Return the name of a new Dataset. Raise InvalidRequest if it is not allowed."""
    if not NAME_PATTERN.fullmatch(name):
        better = re.sub("[^a-z0-9]+", "-", name.lower())[:64].strip("-") or "my-fruit"
        raise _wrong(f"{name[:64]!r} cannot be the name of a dataset: use a-z, 0-9 and -, e.g. {better}", "/name")
    if name in RESERVED:
        raise _wrong(f"the name {name} is reserved: choose another one", "/name")
    return name


def label_name(text: str, pointer: str = "/label") -> str:
    """Return `text` in Unicode NFC without blanks at its ends. Raise InvalidRequest if it cannot be a Label.

    `pointer` is the JSON pointer of the text in the request.
    """
    name = unicodedata.normalize("NFC", text.strip())
    if reason := _refusal(name):
        raise _wrong(f"{text[:80]!r} cannot be a label: {reason}", pointer)
    return name


def _refusal(name: str) -> str | None:
    """Return why a name cannot be a Label, or None if it can."""
    if not name:
        return "it is empty"
    if len(name) > MAX_LABEL:
        return f"it has {len(name)} characters, and {MAX_LABEL} are allowed"
    if any(unicodedata.category(character) in FORBIDDEN or character in DIRECTION for character in name):
        return "it has a line break, a control character or a mark that changes the direction of text"
    if name in (".", ".."):
        return "it cannot be part of a URL"
    return None


def _wrong(detail: str, pointer: str) -> InvalidRequest:
    return InvalidRequest(detail, [Fault(pointer, detail)])
