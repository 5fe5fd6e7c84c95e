"""Tables of items, jobs, models and training metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.terminal.output import Json, Table

Value = Callable[[Json], Any]


def items_table(top_k: int) -> Table:
    """Return the table of items with their `top_k` best predictions."""
    columns: dict[str, Value] = {"FILE": field("filename"), "LABEL": _label_or_state, "SCORE": _score}
    csv: dict[str, Value] = {"file": field("filename"), "state": field("state")}
    csv |= {"label": _best(0, "label"), "score": _best(0, "score")}
    for rank in range(1, top_k):
        label, score = _best(rank, "label"), _best(rank, "score")
        columns |= {f"LABEL {rank + 1}": label, f"SCORE {rank + 1}": score}
        csv |= {f"label_{rank + 1}": label, f"score_{rank + 1}": score}
    return Table(columns | {"": lambda item: _error(item) or ""}, csv | {"unknown": _unknown, "error": _error}, _colour)


def field(name: str, *inner: str) -> Value:
    """Return a function that reads a field of a record, nested if `inner` is given; None if it is missing."""

    def value(record: Json) -> Any:
        found: Any = record
        for step in (name, *inner):
            found = (found or {}).get(step)
        return found

    return value


def field_columns(*names: str) -> dict[str, Value]:
    """Return columns that are named after their fields."""
    return {name: field(name) for name in names}


def _outcome(item: Json) -> str:
    return str(item["outcome"] or item["state"])


def _why_not_added(item: Json) -> str:
    if item["outcome"] == "conflict":
        return f"The dataset has it as {item['dataset_label'] or 'unlabelled'} (picture {item['picture']})."
    return _error(item) or ""


def _best(rank: int, name: str) -> Value:
    def value(item: Json) -> Any:
        predictions = item["predictions"]
        return predictions[rank][name] if rank < len(predictions) else None

    return value


def _label_or_state(item: Json) -> str:
    return "unknown" if item.get("unknown") else str(_best(0, "label")(item) or item["state"])


def _score(item: Json) -> Any:
    """Return the best score; None if the picture is unknown: the score is that of the label it does not get."""
    return None if item.get("unknown") else _best(0, "score")(item)


def _unknown(item: Json) -> str:
    """Return `true` or `false` as in the service's CSV; nothing for an item that was not classified."""
    return ("true" if item["unknown"] else "false") if item["predictions"] else ""


def _error(item: Json) -> str | None:
    return item["error"] and str(item["error"]["detail"])


def _colour(record: Json) -> str | None:
    colours = {"failed": "red", "cancelled": "yellow", "running": "green", "conflict": "yellow"}
    return colours.get(record.get("outcome") or record["state"])


def _progress(job: Json) -> str:
    return f"{job['progress']:.0%}"


def to_seconds(timestamp: str | None) -> str | None:
    """Return an RFC 3339 timestamp to the second, as a table shows it."""
    return timestamp and f"{timestamp[:10]} {timestamp[11:19]}"


def _accuracy_interval(model: Json) -> str | None:
    interval = field("metrics", "accuracy_interval")(model)
    return interval and " to ".join(f"{end:.4f}" for end in interval)


_JOB_COUNTS = ("total", "succeeded", "failed", "cancelled")
JOBS = Table(
    {
        "ID": field("id"),
        "KIND": field("kind"),
        "STATE": field("state"),
        "DONE": _progress,
        "PICTURES": field("counts", "total"),
        "FAILED": field("counts", "failed"),
        "CREATED (UTC)": lambda job: to_seconds(job["created_at"]),
    },
    field_columns("id", "kind", "state", "progress", "created_at", "started_at", "finished_at", "model")
    | {name: field("counts", name) for name in _JOB_COUNTS},
    _colour,
)
JOB = Table(
    {
        **JOBS.columns,
        "STARTED (UTC)": lambda job: to_seconds(job["started_at"]),
        "FINISHED (UTC)": lambda job: to_seconds(job["finished_at"]),
        "SECONDS LEFT": field("eta_s"),
        "QUEUE POSITION": field("queue_position"),
        "DATASET": field("params", "dataset"),
        "MODEL": field("model"),
        "ERROR": field("error", "detail"),
    },
    JOBS.csv,
)
IMPORTED = Table(
    {"FILE": field("filename"), "LABEL": field("label"), "OUTCOME": _outcome, "": _why_not_added},
    {
        "file": field("filename"),
        **field_columns("state", "outcome", "label", "picture", "dataset_label"),
        "error": _error,
    },
    _colour,
)
SKIPPED = Table(
    {"ARCHIVE": field("archive"), "FILE": field("filename")},
    field_columns("archive", "filename"),
)
METRICS = Table(
    {
        "EPOCH": field("epoch"),
        "LOSS": field("loss"),
        "ACCURACY": field("accuracy"),
        "VAL LOSS": field("val_loss"),
        "VAL ACCURACY": field("val_accuracy"),
        "IMAGES/S": lambda row: f"{row['images_per_s']:,.0f}",
    },
    field_columns(
        *("n", "epoch", "step", "steps", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "images_per_s", "at")
    ),
    look_ahead=1,
)
HEAD_METRICS = Table(
    {
        "DONE": lambda row: f"{row['step'] / row['steps']:.0%}",
        "VAL LOSS": field("val_loss"),
        "VAL ACCURACY": field("val_accuracy"),
    },
    METRICS.csv,
    look_ahead=1,
)
MODELS = Table(
    {
        "VERSION": field("version"),
        "CLASSIFIER": field("classifier"),
        "CHAMPION": lambda model: "yes" if model["champion"] else "",
        "PRESET": field("preset"),
        "ACCURACY": field("metrics", "accuracy"),
        "95 % INTERVAL": _accuracy_interval,
        "PARAMETERS": field("size", "parameters"),
        "CREATED (UTC)": lambda model: to_seconds(model["created_at"]),
    },
    field_columns("version", "classifier", "champion", "preset", "created_at", "parent")
    | {
        "parameters": field("size", "parameters"),
        "accuracy": field("metrics", "accuracy"),
        "loss": field("metrics", "loss"),
    },
    lambda model: "green" if model["champion"] else None,
)
MODEL = Table(
    {
        **MODELS.columns,
        "LOSS": field("metrics", "loss"),
        "CALIBRATION ERROR": field("metrics", "calibration_error"),
        "LABELS": lambda model: ", ".join(model["labels"]),
        "PARENT": field("parent"),
        "NOTES": lambda model: " ".join(model.get("notes", ())),
        "FILE": field("links", "file"),
    },
    MODELS.csv,
)
COMPARISON = Table(
    {
        "VERSIONS": lambda found: " against ".join(reversed(found["versions"])),
        "IMAGES": field("images"),
        "ACCURACY": lambda found: " and ".join(f"{share:.4f}" for share in found["accuracy"]),
        "DIFFERENCE": field("difference"),
        "95 % INTERVAL": lambda found: " to ".join(f"{end:.4f}" for end in found["interval"]),
        "P (MCNEMAR)": field("p_value"),
        "VERDICT": field("summary"),
    },
    field_columns("images", "difference", "only_first", "only_second", "p_value", "verdict")
    | {"first": lambda found: found["versions"][0], "second": lambda found: found["versions"][1]},
)
CLASSIFIERS = Table(
    {
        "NAME": field("name"),
        "CHAMPION": field("champion", "version"),
        "LABELS": lambda classifier: len(classifier["labels"]),
        "OWNER": lambda classifier: classifier["owner"] or "(shipped)",
    },
    {
        "name": field("name"),
        "champion": field("champion", "version"),
        "labels": lambda classifier: len(classifier["labels"]),
        "owner": field("owner"),
    },
)
CLASSIFIER = Table(
    {
        **CLASSIFIERS.columns,
        "SINCE (UTC)": lambda classifier: to_seconds((classifier["champion"] or {}).get("since")),
        "BEFORE": field("champion", "previous"),
        "LABELS": lambda classifier: ", ".join(classifier["labels"]),
    },
    CLASSIFIERS.csv,
)
CHAMPION = Table(
    {
        "CHAMPION": field("version"),
        "SINCE (UTC)": lambda alias: to_seconds(alias["since"]),
        "BEFORE": field("previous"),
    },
    field_columns("version", "since", "previous"),
)
