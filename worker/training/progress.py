"""The progress of a training, and the errors and commands that end it early.

DarkroomError
├── InvalidRequest
│   └── TrainingDiverged   the loss is NaN or infinite; other hyperparameters are needed
└── TrainingCancelled      the job was cancelled, or another worker has it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from shared.domain.card import Epoch
from shared.domain.errors import DarkroomError, InvalidRequest
from shared.jobs.trainings import TrainingCommand


class TrainingDiverged(InvalidRequest):
    """The loss is NaN or infinite. The last checkpoint predates this."""


class TrainingCancelled(DarkroomError):
    """The training was stopped before its end. The last checkpoint is kept."""


class Control(Protocol):
    """A source of commands for a running training."""

    def command(self, step: int) -> TrainingCommand:
        """Return what to do after `step` steps; called before each group of steps, so it must be fast."""
        ...


class NeverStop:
    """A control that lets a training run to its end."""

    def command(self, step: int) -> TrainingCommand:  # noqa: ARG002 - part of the port
        """Return CONTINUE."""
        return TrainingCommand.CONTINUE


@dataclass(frozen=True)
class Row:
    """The metrics of a few steps; an epoch has several rows, and the last of them has validation metrics.

    `n` and `epoch` count from 1; `step` of `steps` are done. `loss` (nats, with label smoothing) and `accuracy` are
    means since the previous row, taken while the weights change; `val_loss` and `val_accuracy` are None within an
    epoch. A pretrained network has a row of epoch 0 before the first step, with validation metrics only. `lr`
    is the learning rate at the start of the last group of steps (`worker.training.steps`), `images_per_s` the training
    speed since the previous row, without validation, and `at` the time in seconds since 1970.
    """

    n: int
    epoch: int
    step: int
    steps: int
    loss: float | None
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    lr: float | None
    images_per_s: float
    at: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Profile:
    """How a process spent its seconds: on steps, on making batches in a thread, on waiting for them, on validation."""

    steps: int
    step_s: float
    making_s: float
    waiting_s: float
    validation_s: float

    @property
    def summary(self) -> str:
        """Return the profile as one line for the log."""
        steps = max(1, self.steps)
        share = self.making_s / self.step_s if self.step_s else 0.0
        making, waiting = self.making_s / steps, self.waiting_s / steps
        return (
            f"{self.steps} steps of {self.step_s / steps:.3f} s; a batch took {making:.4f} s in a second thread "
            f"({share:.2%}), of which the step waited {waiting:.4f} s; validation took {self.validation_s:.0f} s"
        )


@dataclass(frozen=True, eq=False)
class Best:
    """The weights with the best validation metrics, as arrays in Keras's order, and the epoch they are from."""

    epoch: int
    val_accuracy: float
    val_loss: float
    weights: list[Any]

    def beaten_by(self, val_accuracy: float, val_loss: float) -> bool:
        """Return whether these metrics are better: a smaller loss, or the same loss and a higher accuracy.

        The loss also separates epochs whose accuracy differs by a few images, which is noise.
        """
        return (val_loss, -val_accuracy) < (self.val_loss, -self.val_accuracy)


@dataclass
class Progress:
    """The state of a training apart from the network. `seconds` includes the processes before a resume."""

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best: Best | None = None
    seconds: float = 0.0

    @property
    def stale_epochs(self) -> int:
        """Return the number of epochs since the best one."""
        return len(self.history) - self.best.epoch if self.best else 0


OnStart = Callable[[Sequence[Row]], None]
OnRow = Callable[[Row], None]
OnEpoch = Callable[[Epoch], None]
