"""What became of the pictures of an import, in a few lines on stdout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import click

from cli.terminal.output import Json

#: Pictures of each kind that are named.
NAMED = 20
#: Outcomes other than `added`, in words.
OTHERS = {
    "Already there": "present",
    "Already there under another label, which is kept": "conflict",
    "Failed": "failed",
    "Cancelled": "cancelled",
}


def write_outcomes(items: Iterable[Json]) -> None:
    """Write how many pictures were added, were there already, conflict or failed; the last two by name."""
    counts: Counter[str] = Counter()
    named: dict[str, list[str]] = {"conflict": [], "failed": []}
    for item in items:
        outcome = item["outcome"] or item["state"]
        counts[outcome] += 1
        if len(named.get(outcome, ())) < NAMED and outcome in named:
            named[outcome].append(_line(item))
    click.echo(f"Added: {counts['added']:,}")
    for what, outcome in OTHERS.items():
        if counts[outcome]:
            _write_named(f"{what}: {counts[outcome]:,}", counts[outcome], named.get(outcome))


def _line(item: Json) -> str:
    if item["outcome"] == "conflict":
        label = item["dataset_label"] or "no label"
        return f"{item['filename']}: picture {item['picture']} has the label {label}, not {item['label']}"
    return f"{item['filename']}: {item['error']['detail']}"


def _write_named(head: str, count: int, lines: list[str] | None) -> None:
    click.echo(head)
    for line in lines or ():
        click.echo(f"  {line}")
    if lines and count > len(lines):
        click.echo(f"  … and {count - len(lines):,} more")
