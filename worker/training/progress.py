"""How far a training is: its rows, and what may be asked of it while it runs.

DarkroomError
├── InvalidRequest
│   └── TrainingDiverged   the loss is no number any more; other hyperparameters are needed
└── TrainingCancelled      somebody asked for it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from shared.domain.card import Epoch
from shared.domain.errors import DarkroomError, InvalidRequest
from shared.jobs.trainings import TrainingCommand


class TrainingDiverged(InvalidRequest):
    """The loss is no number any more. The last checkpoint is from before."""


class TrainingCancelled(DarkroomError):
    """The training was cancelled before its end. The last checkpoint stays."""


class Control(Protocol):
    """Whoever may stop a training."""

    def ask(self, step: int) -> TrainingCommand:
        """Return what to do now that `step` steps are done; called before each step, so it must not take long."""
        ...


class GoOn:
    """Never stops a training."""

    def ask(self, step: int) -> TrainingCommand:  # noqa: ARG002 - the port's
        """Return that it goes on."""
        return TrainingCommand.CONTINUE


@dataclass(frozen=True)
class Row:
    """Where a training was at one moment; several of them per epoch, the last with the validation's figures.

    `n` counts the rows from 1, `epoch` from 1; `step` is how many steps of the planned `steps` were done. `loss` (nats,
    with label smoothing) and `accuracy` are means since the row before, while the weights were changing; `val_loss` and
    `val_accuracy` are of the validation images, None within an epoch. `lr` is the step size at the beginning of the
    last group of steps (`worker.training.steps`), `images_per_s` the speed since the row before, validation left
    out, and `at` the time in seconds since 1970.
    """

    n: int
    epoch: int
    step: int
    steps: int
    loss: float
    accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    images_per_s: float
    at: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


@dataclass(frozen=True)
class Profile:
    """Where the seconds of a training went: batches are made beside the steps, and waited for where they are late."""

    steps: int
    step_s: float
    making_s: float
    waiting_s: float
    validation_s: float

    @property
    def sentence(self) -> str:
        """The profile for people."""
        steps = max(1, self.steps)
        share = self.making_s / self.step_s if self.step_s else 0.0
        making, waiting = self.making_s / steps, self.waiting_s / steps
        return (
            f"{self.steps} steps of {self.step_s / steps:.3f} s; a batch was made in {making:.4f} s beside it "
            f"({share:.2%}) and waited for {waiting:.4f} s; validation took {self.validation_s:.0f} s"
        )


@dataclass(frozen=True, eq=False)
class Best:
    """The weights that did best on the validation images, arrays in Keras's order, and the epoch that they are from."""

    epoch: int
    val_accuracy: float
    val_loss: float
    weights: list[Any]

    def beaten_by(self, val_accuracy: float, val_loss: float) -> bool:
        """Return whether these figures are better: a smaller loss, or the same and more accurate.

        The loss tells two epochs apart that differ in the labels of three images, which says nothing.
        """
        return (val_loss, -val_accuracy) < (self.val_loss, -self.val_accuracy)


@dataclass
class Progress:
    """What changes while a training runs, but for the network. `seconds` is of this process and those before."""

    step: int = 0
    rows: list[Row] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    best: Best | None = None
    seconds: float = 0.0

    @property
    def stale_epochs(self) -> int:
        """How many epochs ended since the best one."""
        return len(self.history) - self.best.epoch if self.best else 0


OnStart = Callable[[Sequence[Row]], None]
OnRow = Callable[[Row], None]
OnEpoch = Callable[[Epoch], None]
