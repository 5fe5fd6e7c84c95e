"""Tables of datasets, their labels, pictures and reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.terminal.output import Json, Table
from cli.terminal.tables import Value, field, field_columns, to_seconds
from shared.training.own_datasets import MIN_PICTURES

#: Doubted pictures, or labels without pictures, that are named.
NAMED = 10
#: Doubt above which another label is more probable than the picture's own.
FITS_BETTER = 0.5


def _listed(name: str, text: Callable[[Json], str]) -> Value:
    """Return a function that joins the texts of a list's entries; None if there are none."""
    return lambda record: ", ".join(map(text, record[name])) or None


def _curve(report: Json) -> str | None:
    """Return the learning curve, with its revision if that is not the report's."""
    points = field("computed", "learnt", "curve")(report) or ()
    text = ", ".join(f"{point['accuracy']:.4f} with {point['pictures']:,} pictures" for point in points)
    revision = field("computed", "learnt", "curve_revision")(report)
    return f"{text} (of revision {revision})" if revision != field("computed", "revision")(report) else text or None


def _thin(label: Json) -> str:
    need = f"a training needs {MIN_PICTURES}" if label["problem"] == "too_few" else "fewer than 50"
    return f"{label['label']} ({label['pictures']}: {need})"


def _doubted(report: Json) -> str | None:
    """Return the number of doubted labels, and the most doubted: id, label, and the one that fits better."""
    found = field("computed", "learnt", "doubted")(report)
    if not found:
        return None
    named = ", ".join(map(_doubt, found["listed"][:NAMED]))
    return f"{found['pictures']:,}: {named}{', …' if found['pictures'] > NAMED else ''}" if named else "0"


def _doubt(picture: Json) -> str:
    better = field("suggested", "label")(picture)
    return f"{picture['id']} ({picture['label']}{f', or {better}?' if better else ''})"


def _suggested(picture: Json) -> Any:
    """Return the label that fits a picture better than its own; None if its own fits at least as well."""
    return field("suggested", "label")(picture) if picture["doubt"] is None or picture["doubt"] > FITS_BETTER else None


def _up_to_date(report: Json) -> str:
    if not report["computing"]:
        return "yes"
    return f"no: {'older than your last change' if report['computed'] else 'nothing yet'}; a new one is being computed"


_DATASET_FIELDS = ("pictures", "unlabelled", "bytes", "revision", "created_at", "updated_at")
DATASETS = Table(
    {
        "NAME": field("name"),
        "PICTURES": field("pictures"),
        "UNLABELLED": field("unlabelled"),
        "LABELS": lambda dataset: len(dataset["labels"]),
        "CHANGED (UTC)": lambda dataset: to_seconds(dataset["updated_at"]),
    },
    {"name": field("name"), "labels": lambda dataset: len(dataset["labels"]), **field_columns(*_DATASET_FIELDS)},
)
DATASET = Table({**DATASETS.columns, "BYTES": field("bytes"), "REVISION": field("revision")}, DATASETS.csv)
DATASET_LABELS = Table(
    {"LABEL": field("name"), "TRAIN": field("train"), "TEST": field("test")},
    field_columns("index", "name", "train", "test"),
)
PICTURES = Table(
    {
        "ID": field("id"),
        "FILE": field("filename"),
        "LABEL": field("label"),
        "SPLIT": lambda picture: f"{picture['split']} (pinned)" if picture["pinned"] else picture["split"],
        "GROUP": field("group"),
        "DOUBT": field("doubt"),
        "SUGGESTED": _suggested,
    },
    field_columns("id", "filename", "label", "split", "pinned", "group", "width", "height", "bytes", "sha256", "doubt")
    | {"suggested": field("suggested", "label")},
)
_REPORT_COLUMNS: dict[str, Value] = {
    "THIN LABELS": _listed("thin_labels", _thin),
    "SAME BUT CASE": _listed("same_but_case", " = ".join),
    "IMBALANCE": field("imbalance", "ratio"),
    "DOUBTED LABELS": _doubted,
    "NEAR COPIES (GROUPS)": field("computed", "near_copies", "groups"),
    "  UNDER SEVERAL LABELS": field("computed", "near_copies", "groups_with_several_labels"),
    "TINY PICTURES": field("computed", "tiny", "pictures"),
    "ACCURACY": _curve,
    "OF REVISION": field("computed", "revision"),
    "UP TO DATE": _up_to_date,
}
REPORT = Table(
    _REPORT_COLUMNS,
    {
        "thin_labels": lambda report: len(report["thin_labels"]),
        "imbalance": field("imbalance", "ratio"),
        "doubted": field("computed", "learnt", "doubted", "pictures"),
        "groups": field("computed", "near_copies", "groups"),
        "tiny": field("computed", "tiny", "pictures"),
        "revision": field("computed", "revision"),
        "stale": field("computed", "stale"),
    },
)
