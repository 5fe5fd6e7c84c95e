"""Checkpoints: all that a training needs to go on as if it had never been interrupted, as bytes.

One checkpoint holds the variables of the network (those of its random layers too) and of the optimizer, the best
weights so far, the rows, and the step. The seed and the step are the whole random state of the batches (see
`worker.data.augment`), and the step is the place in every schedule.
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

#: Written into each checkpoint; raised when its layout changes.
LAYOUT = 1

Arrays = Mapping[str, NDArray[Any]]
#: What a run is: preset, hyperparameters, seed, dataset. Two runs that agree in it have the same steps.
Identity = Mapping[str, Any]


class CheckpointStore(Protocol):
    """Where one run keeps its last checkpoint."""

    def save(self, content: bytes) -> None:
        """Replace the checkpoint; whoever reads gets the old one or the whole new one, after a crash too."""
        ...

    def load(self) -> bytes | None:
        """Return the last checkpoint, None where there is none yet."""
        ...


class NoCheckpoints:
    """Keeps nothing."""

    def save(self, content: bytes) -> None:
        """Forget it."""

    def load(self) -> bytes | None:
        """Return None."""
        return None


class FileCheckpoint:
    """Keeps the checkpoint in a file. Raises NotFound where its folder is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, content: bytes) -> None:
        """Replace the file in one step."""
        temporary = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except FileNotFoundError as error:
            raise NotFound(f"There is no folder {self._path.parent} for a checkpoint.") from error
        finally:
            temporary.unlink(missing_ok=True)

    def load(self) -> bytes | None:
        """Return what is in the file, None where there is none."""
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
    """Give the Keras variables the values that they had, and return the progress.

    Raises Conflict, and changes nothing, where `content` is damaged or of another run.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays["about"].tobytes())
    except (KeyError, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Conflict("The checkpoint is damaged: remove it to start again.") from error
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
        raise Conflict("The checkpoint was written by another version of Darkroom: remove it to start again.")
    theirs, ours = about["identity"], json.loads(json.dumps(dict(identity)))
    differing = sorted(name for name in theirs.keys() | ours.keys() if theirs.get(name) != ours.get(name))
    if differing:
        raise Conflict(f"The checkpoint is of another run; what differs is {', '.join(differing)}.")
    shapes = {f"variable/{name}": tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: array.shape for name, array in arrays.items() if name.startswith("variable/")}:
        raise Conflict("The checkpoint is of another network: remove it to start again.")


def named(groups: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return all variables of the groups, each under its group's name and its place in it."""
    return {f"{name}/{index}": variable for name, group in groups.items() for index, variable in enumerate(group)}
