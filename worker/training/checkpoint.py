"""Checkpoints: everything that a training needs to resume exactly, as bytes.

A checkpoint holds the variables of the network (including its random layers) and of the optimizer, the best weights so
far, the rows, and the step. The seed and the step are the whole random state of the batches (see
`worker.data.augment`), and schedules depend on the step alone.
"""

from __future__ import annotations

import io
import json
import os
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Epoch
from shared.domain.errors import Conflict, NotFound
from worker.training.progress import Best, Progress, Row

#: Version of the layout, written into each checkpoint; increase it with each change.
LAYOUT = 1

Arrays = Mapping[str, NDArray[Any]]
#: Preset, hyperparameters, seed and dataset of a run. Runs with equal identities take the same steps.
Identity = Mapping[str, Any]


class CheckpointStore(Protocol):
    """Keeps the last checkpoint of one run."""

    def save(self, content: bytes) -> None:
        """Replace the checkpoint atomically, even if the process crashes."""
        ...

    def load(self) -> bytes | None:
        """Return the last checkpoint, or None before the first."""
        ...


class NoCheckpoints:
    """Discards checkpoints."""

    def save(self, content: bytes) -> None:
        """Discard the checkpoint."""

    def load(self) -> bytes | None:
        """Return None."""
        return None


class FileCheckpointStore:
    """Keeps the checkpoint in a file. Raises NotFound if its folder does not exist."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, content: bytes) -> None:
        """Replace the file atomically."""
        temporary = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except FileNotFoundError as error:
            raise NotFound(f"The checkpoint's folder {self._path.parent} does not exist: create it first.") from error
        finally:
            temporary.unlink(missing_ok=True)

    def load(self) -> bytes | None:
        """Return the content of the file, or None if it does not exist."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None


def pack(progress: Progress, variables: Mapping[str, Any], identity: Identity) -> bytes:
    """Return a checkpoint of `progress` and the Keras variables by name."""
    arrays = {f"variable/{name}": np.asarray(variable) for name, variable in variables.items()}
    best = progress.best
    if best:
        arrays |= {f"best/{index}": weights for index, weights in enumerate(best.weights)}
    about = {
        "layout": LAYOUT,
        "identity": dict(identity),
        "step": progress.step,
        "seconds": progress.seconds,
        "rows": [asdict(row) for row in progress.rows],
        "history": [epoch.model_dump() for epoch in progress.history],
        "best": best and {"epoch": best.epoch, "val_accuracy": best.val_accuracy, "val_loss": best.val_loss},
    }
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # a keyword of any name is an array
    return buffer.getvalue()


def restore(content: bytes, variables: Mapping[str, Any], identity: Identity) -> Progress:
    """Assign the saved values to the Keras variables and return the progress.

    Raises Conflict, and changes nothing, if `content` is damaged or belongs to another run.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays["about"].tobytes())
    except (KeyError, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Conflict("The checkpoint is damaged: delete it to start over.") from error
    _check(about, arrays, variables, identity)
    for name, variable in variables.items():
        variable.assign(arrays[f"variable/{name}"])
    return Progress(
        step=about["step"],
        rows=[Row(**row) for row in about["rows"]],
        history=[Epoch(**epoch) for epoch in about["history"]],
        best=_best(about["best"], arrays),
        seconds=about["seconds"],
    )


def _best(about: dict[str, Any] | None, arrays: Arrays) -> Best | None:
    if about is None:
        return None
    count = sum(name.startswith("best/") for name in arrays)
    return Best(**about, weights=[arrays[f"best/{index}"] for index in range(count)])


def _check(about: dict[str, Any], arrays: Arrays, variables: Mapping[str, Any], identity: Identity) -> None:
    if about.get("layout") != LAYOUT:
        raise Conflict("Another version of Darkroom wrote the checkpoint: delete it to start over.")
    theirs, ours = about["identity"], json.loads(json.dumps(dict(identity)))
    differing = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if differing:
        raise Conflict(f"The checkpoint belongs to another run: {', '.join(differing)} differ.")
    shapes = {f"variable/{name}": tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: array.shape for name, array in arrays.items() if name.startswith("variable/")}:
        raise Conflict("The checkpoint belongs to another network: delete it to start over.")


def named_variables(groups: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the variables of all groups, each as `group/index`."""
    return {f"{name}/{index}": variable for name, group in groups.items() for index, variable in enumerate(group)}
