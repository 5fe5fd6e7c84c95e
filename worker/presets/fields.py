"""What values a hyperparameter may have, in a form that a program can list and check.

A field of a preset's parameters says it in its annotation: `filters: Annotated[int, Whole("filters …", 1, 512)] = 8`.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from shared.errors import Fault


@dataclass(frozen=True)
class Flag:
    """Yes or no."""

    about: str

    def as_dict(self) -> dict[str, Any]:
        """Return the type, as JSON Schema names it, and what the value is for."""
        return {"type": "boolean", "description": self.about}

    def checked(self, value: object) -> bool:
        """Return the value; ValueError with what it should be where it is something else."""
        if not isinstance(value, bool):
            raise ValueError("true or false")
        return value


@dataclass(frozen=True)
class Number:
    """A number from `least` to `most`, both included."""

    about: str
    least: float
    most: float
    unit: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the type, as JSON Schema names it, the range, the unit, and what the value is for."""
        range_ = {"minimum": self.least, "maximum": self.most, "unit": self.unit}
        return {"type": "number", **range_, "description": self.about}

    def checked(self, value: Any) -> float:
        """Return the value; ValueError with what it should be where it is something else."""
        if not _is_number(value) or not self.least <= value <= self.most:
            raise ValueError(f"a number from {self.least:g} to {self.most:g}")
        return float(value)


@dataclass(frozen=True)
class Whole(Number):
    """A whole number from `least` to `most`, both included."""

    def as_dict(self) -> dict[str, Any]:
        """Return the type, as JSON Schema names it, the range, the unit, and what the value is for."""
        return super().as_dict() | {"type": "integer"}

    def checked(self, value: Any) -> int:
        """Return the value as int, 8.0 as 8; ValueError with what it should be where it is something else."""
        if not _is_number(value) or not self.least <= value <= self.most or value != int(value):
            raise ValueError(f"a whole number from {self.least} to {self.most}")
        return int(value)


@dataclass(frozen=True)
class Choice:
    """One word of several."""

    about: str
    words: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the type, as JSON Schema names it, the words, and what the value is for."""
        return {"type": "string", "enum": list(self.words), "description": self.about}

    def checked(self, value: object) -> str:
        """Return the value; ValueError with what it should be where it is something else."""
        if not isinstance(value, str) or value not in self.words:
            raise ValueError(f"one of {', '.join(self.words)}")
        return value


Spec = Flag | Number | Choice


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def specs(record: type[Any]) -> Mapping[str, Spec]:
    """Return the `Spec` in each annotation of a dataclass, in the order of its fields."""
    hints = get_type_hints(record, include_extras=True)
    found = {item.name: getattr(hints[item.name], "__metadata__", ()) for item in fields(record)}
    return {name: spec for name, extras in found.items() for spec in extras if isinstance(spec, Spec)}


def faults(allowed: Mapping[str, Spec], given: Mapping[str, object]) -> list[Fault]:
    """Return a Fault, with the allowed range, for each given value that is outside of it."""
    found = []
    for name in allowed.keys() & given.keys():
        try:
            allowed[name].checked(given[name])
        except ValueError as error:
            found.append(Fault(name, f"should be {error}, not {reprlib.repr(given[name])}"))
    return sorted(found, key=lambda fault: fault.pointer)
