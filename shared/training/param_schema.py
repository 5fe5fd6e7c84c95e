"""What values a parameter may have, in a form that a program can list, send and check.

A field of a preset's parameters says it in its annotation: `filters: Annotated[int, Integer("filters …", 1, 512)] = 8`.
A worker announces it as JSON, and the web process checks a request with what it reads there: the same code, the same
sentences.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from shared.domain.errors import Fault, InvalidRequest

#: Wrong values that are named at once: more than a preset has parameters. A body of nothing but unknown names took 1 s.
MAX_FAULTS = 50
#: Characters of a wrong value, or of an unknown name, that are repeated to whoever sent it.
MAX_SHOWN = 60
#: What a name of something stored looks like.
NAME = re.compile(r"[a-z0-9_-]{1,100}")


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
class Integer(Number):
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


@dataclass(frozen=True)
class Name:
    """The name of something stored, or None. Whether it is there, only who stores it can say."""

    about: str

    def as_dict(self) -> dict[str, Any]:
        """Return the type, as JSON Schema names it, the form of a name, and what the value is for."""
        return {"type": ["string", "null"], "pattern": f"^{NAME.pattern}$", "description": self.about}

    def checked(self, value: object) -> str | None:
        """Return the value; ValueError with what it should be where it is something else."""
        if value is None or (isinstance(value, str) and NAME.fullmatch(value)):
            return value
        raise ValueError("a name of the characters a-z 0-9 _ -, or null")


Spec = Flag | Number | Choice | Name


def from_dict(record: Mapping[str, Any]) -> Spec:
    """Return the `Spec` that `as_dict` has described."""
    about, kind = record["description"], record["type"]
    if kind == "boolean":
        return Flag(about)
    if kind == "string":
        return Choice(about, tuple(record["enum"]))
    if kind in ("integer", "number"):
        range_ = (record["minimum"], record["maximum"], record["unit"])
        return Integer(about, *range_) if kind == "integer" else Number(about, *range_)
    return Name(about)


@dataclass(frozen=True)
class Parameter:
    """One parameter: what it is where nobody says otherwise, and what it may be."""

    default: Any
    spec: Spec

    def as_dict(self) -> dict[str, Any]:
        """Return the default, and what `spec` says of itself, ready for JSON."""
        return {"default": self.default, **self.spec.as_dict()}

    def checked(self, value: object) -> Any:
        """Return the value as the spec has it; ValueError with what it should be where it is something else."""
        return self.spec.checked(value)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Parameter:
        """Return the parameter that `as_dict` has described."""
        return cls(record["default"], from_dict(record))


Parameters = Mapping[str, Parameter]


def specs(record: type[Any]) -> Mapping[str, Spec]:
    """Return the `Spec` in each annotation of a dataclass, in the order of its fields."""
    hints = get_type_hints(record, include_extras=True)
    found = {item.name: getattr(hints[item.name], "__metadata__", ()) for item in fields(record)}
    return {name: spec for name, extras in found.items() for spec in extras if isinstance(spec, Spec)}


def filled(parameters: Parameters, given: Mapping[str, object]) -> dict[str, Any]:
    """Return every parameter's value, the default where none is given; ValueError where one is out of its range."""
    return {name: one.checked(given.get(name, one.default)) for name, one in parameters.items()}


def faults(allowed: Mapping[str, Spec | Parameter], given: Mapping[str, object], whose: str) -> list[Fault]:
    """Return a Fault, its pointer the bare name, for each value out of its range and each name that `whose` lacks."""
    details = ((name, _detail(allowed, name, value, whose)) for name, value in given.items())
    found = (Fault(name, detail) for name, detail in details if detail)
    return list(itertools.islice(found, MAX_FAULTS))


def refuse(found: Sequence[Fault], pointer: str = "") -> None:
    """Raise InvalidRequest with one sentence over all faults, where there is one; `pointer` goes before their names."""
    if found:
        placed = [Fault(pointer + _escaped(fault.pointer), fault.detail) for fault in found]
        sentence = "; ".join(f"{_cut(fault.pointer)} {fault.detail}" for fault in found)
        raise InvalidRequest(f"{sentence}.", placed)


def _detail(allowed: Mapping[str, Spec | Parameter], name: str, value: object, whose: str) -> str | None:
    """Return what is wrong, None where nothing is."""
    if name not in allowed:
        near = difflib.get_close_matches(name[:MAX_SHOWN], allowed, n=1)
        return f"is no parameter of {whose}" + (f" (did you mean {near[0]}?)" if near else "")
    try:
        allowed[name].checked(value)
    except ValueError as error:
        return f"should be {error}, not {_cut(json.dumps(value, default=str))}"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _escaped(name: str) -> str:
    """Return the name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")
