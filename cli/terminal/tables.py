"""Which columns items, jobs, models and the rows of trainings have, in tables and in CSV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.terminal.output import Json, View

Value = Callable[[Json], Any]


def items_view(top_k: int) -> View:
    """Items, with their `top_k` best predictions."""
    table: dict[str, Value] = {"FILE": field("filename"), "LABEL": _label_or_state, "SCORE": _best(0, "score")}
    record: dict[str, Value] = {"file": field("filename"), "state": field("state")}
    record |= {"label": _best(0, "label"), "score": _best(0, "score")}
    for rank in range(1, top_k):
        label, score = _best(rank, "label"), _best(rank, "score")
        table |= {f"LABEL {rank + 1}": label, f"SCORE {rank + 1}": score}
        record |= {f"label_{rank + 1}": label, f"score_{rank + 1}": score}
    return View(table | {"": lambda item: _why(item) or ""}, record | {"error": _why}, _colour)


def field(name: str, *inner: str) -> Value:
    """The value of a record's entry, or of one within it; None where it is not there."""

    def value(record: Json) -> Any:
        found: Any = record
        for step in (name, *inner):
            found = (found or {}).get(step)
        return found

    return value


def columns(*names: str) -> dict[str, Value]:
    """Columns that are named after their fields."""
    return {name: field(name) for name in names}


def _best(rank: int, name: str) -> Value:
    def value(item: Json) -> Any:
        predictions = item["predictions"]
        return predictions[rank][name] if rank < len(predictions) else None

    return value


def _label_or_state(item: Json) -> str:
    return str(_best(0, "label")(item) or item["state"])


def _why(item: Json) -> str | None:
    return item["error"] and str(item["error"]["detail"])


def _colour(record: Json) -> str | None:
    return {"failed": "red", "cancelled": "yellow", "running": "green"}.get(record["state"])


def _progress(job: Json) -> str:
    return f"{job['progress']:.0%}"


def _seconds(when: str | None) -> str | None:
    """A time as a table shows it: to the second, in UTC."""
    return when and f"{when[:10]} {when[11:19]}"


_JOB_COUNTS = ("total", "succeeded", "failed", "cancelled")
JOBS = View(
    {
        "ID": field("id"),
        "KIND": field("kind"),
        "STATE": field("state"),
        "DONE": _progress,
        "PICTURES": field("counts", "total"),
        "FAILED": field("counts", "failed"),
        "CREATED (UTC)": lambda job: _seconds(job["created_at"]),
    },
    columns("id", "kind", "state", "progress", "created_at", "started_at", "finished_at", "model")
    | {name: field("counts", name) for name in _JOB_COUNTS},
    _colour,
)
JOB = View(
    {
        **JOBS.table,
        "STARTED (UTC)": lambda job: _seconds(job["started_at"]),
        "FINISHED (UTC)": lambda job: _seconds(job["finished_at"]),
        "SECONDS LEFT": field("eta_s"),
        "QUEUE POSITION": field("queue_position"),
        "MODEL": field("model"),
        "ERROR": field("error", "detail"),
    },
    JOBS.csv,
)
ROWS = View(
    {
        "EPOCH": field("epoch"),
        "LOSS": field("loss"),
        "ACCURACY": field("accuracy"),
        "VAL LOSS": field("val_loss"),
        "VAL ACCURACY": field("val_accuracy"),
        "IMAGES/S": lambda row: f"{row['images_per_s']:,.0f}",
    },
    columns(
        *("n", "epoch", "step", "steps", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "images_per_s", "at")
    ),
    look_ahead=1,
)
MODELS = View(
    {
        "VERSION": field("version"),
        "CHAMPION": lambda model: "yes" if model["champion"] else "",
        "PRESET": field("preset"),
        "ACCURACY": field("metrics", "accuracy"),
        "PARAMETERS": field("size", "parameters"),
        "CREATED (UTC)": lambda model: _seconds(model["created_at"]),
    },
    columns("version", "champion", "preset", "created_at", "parent")
    | {
        "parameters": field("size", "parameters"),
        "accuracy": field("metrics", "accuracy"),
        "loss": field("metrics", "loss"),
    },
    lambda model: "green" if model["champion"] else None,
)
MODEL = View(
    {
        **MODELS.table,
        "LOSS": field("metrics", "loss"),
        "CALIBRATION ERROR": field("metrics", "calibration_error"),
        "LABELS": lambda model: ", ".join(model["labels"]),
        "PARENT": field("parent"),
        "FILE": field("links", "file"),
    },
    MODELS.csv,
)
COMPARISON = View(
    {
        "VERSIONS": lambda found: " against ".join(reversed(found["versions"])),
        "IMAGES": field("images"),
        "ACCURACY": lambda found: " and ".join(f"{share:.4f}" for share in found["accuracy"]),
        "DIFFERENCE": field("difference"),
        "95 % INTERVAL": lambda found: " to ".join(f"{end:.4f}" for end in found["interval"]),
        "P (MCNEMAR)": field("p_value"),
        "VERDICT": field("summary"),
    },
    columns("images", "difference", "only_first", "only_second", "p_value", "verdict")
    | {"first": lambda found: found["versions"][0], "second": lambda found: found["versions"][1]},
)
CHAMPION = View(
    {"CHAMPION": field("version"), "SINCE (UTC)": lambda alias: _seconds(alias["since"]), "BEFORE": field("previous")},
    columns("version", "since", "previous"),
)
