"""Text files that list the labels of a model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from shared.domain.errors import InvalidRequest

#: A line of Teachable Machine's `labels.txt`: the index and the name.
NUMBERED = re.compile(r"(\d+)\s+(\S.*)")


def parse_labels(text: str) -> list[str]:
    """Return the labels in a file: a JSON list, or one on each line, with or without the numbers 0, 1, 2, … before it.

    Raises InvalidRequest if a text that begins with a bracket is not a JSON list of strings.
    """
    if text.lstrip().startswith("["):
        return _from_json(text)
    lines = _lines(text)
    return _without_numbers(lines) or lines


def are_numbered(text: str) -> bool:
    """Return whether each line has its number before it, as in the files of Teachable Machine."""
    return bool(_without_numbers(_lines(text)))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _from_json(text: str) -> list[str]:
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"the labels are not valid JSON: {error}") from error
    if not all(isinstance(label, str) for label in labels):
        raise InvalidRequest("the labels must be a JSON list of strings")
    return list(labels)


def _without_numbers(lines: Sequence[str]) -> list[str] | None:
    """Return the names if every line has its number, counted from 0; else None."""
    found = [NUMBERED.fullmatch(line) for line in lines]
    if not all(match and int(match[1]) == index for index, match in enumerate(found)):
        return None
    return [match[2] for match in found if match]
