"""The training loop: steps, rows, validation and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.domain.card import Epoch
from shared.jobs.trainings import TrainingCommand
from worker.data.augment import Batch, Batches, Prefetch
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.serving.tta import softmax
from worker.training import checkpoint as checkpoints
from worker.training import steps
from worker.training.checkpoint import CheckpointStore, NoCheckpoints
from worker.training.progress import (
    Best,
    Control,
    NeverStop,
    OnEpoch,
    OnRow,
    OnStart,
    Profile,
    Progress,
    Row,
    TrainingCancelled,
    TrainingDiverged,
)

#: Rows per epoch, if it has that many steps.
ROWS_PER_EPOCH = 6

#: Seconds after which a row triggers a checkpoint within an epoch; the end of an epoch always does.
CHECKPOINT_S = 120


@dataclass(frozen=True)
class Callbacks:
    """What a training reports to, takes commands from, and keeps its checkpoint in.

    `on_start` is called once before the first step, with the rows in the checkpoint. `on_row` and `on_epoch` are called
    after the row and the epoch, and after the checkpoint if one was due; an exception in them ends the training.
    """

    on_start: OnStart = lambda _: None
    on_row: OnRow = lambda _: None
    on_epoch: OnEpoch = lambda _: None
    control: Control = field(default_factory=NeverStop)
    checkpoint: CheckpointStore = field(default_factory=NoCheckpoints)


def row_steps(steps: int) -> list[int]:
    """Return the steps of an epoch, counted from 1, after which a row ends, in order."""
    return sorted({math.ceil(part * steps / ROWS_PER_EPOCH) for part in range(1, ROWS_PER_EPOCH + 1)})


def step_groups(first: int, stop: int, steps: int, size: int) -> Iterator[range]:
    """Yield the steps from `first` to `stop`, exclusive, in groups of at most `size`; each row ends with a group.

    `steps` is the number of steps per epoch.
    """
    while first < stop:
        within = first % steps
        mark = next(mark for mark in row_steps(steps) if mark > within)
        yield range(first, first + min(size, mark - within))
        first += min(size, mark - within)


class TrainingLoop:
    """One training, from its checkpoint or its beginning to its end.

    `model` must be compiled; `identity` must match the checkpoint's. Training stops after `epochs`, or after `patience`
    epochs without improvement unless `patience` is 0. A model that `has_start` gives good answers from the start: it is
    validated as epoch 0, and its validation losses are those after the best temperature, since the training changes how
    sure it is. Raises Conflict if the checkpoint belongs to another run.
    """

    def __init__(
        self,
        model: Any,
        batches: Batches,
        dataset: Dataset,
        callbacks: Callbacks,
        *,
        epochs: int,
        patience: int,
        identity: checkpoints.Identity,
        has_start: bool = False,
    ) -> None:
        self._model, self._batches, self._dataset, self._callbacks = model, batches, dataset, callbacks
        self._steps, self._patience, self._identity = epochs * batches.steps, patience, identity
        self._has_start = has_start
        self._row_s = self._step_s = self._validation_s = 0.0
        self._sums, self._finishing = np.zeros(2), False
        self._train_on, self._predict = steps.trainer(model), evaluate.predictor(model)
        model.optimizer.build(model.trainable_variables)
        layers = [variable for layer in model.layers for variable in layer.variables]
        self._variables = checkpoints.named_variables({"network": layers, "optimizer": model.optimizer.variables})
        content = callbacks.checkpoint.load()
        self.progress = checkpoints.restore(content, self._variables, identity) if content else Progress()
        self._first = self.progress.step
        size = steps.group_size(batches.size, math.prod(dataset.x_train.shape[1:3]))
        groups = list(step_groups(self._first, self._steps, batches.steps, size))
        self._source = Prefetch(batches, groups)

    @property
    def profile(self) -> Profile:
        """Return how this process has spent its time so far."""
        steps, source = self.progress.step - self._first, self._source
        return Profile(steps, self._step_s, source.making_s, source.waiting_s, self._validation_s)

    def run(self) -> Best:
        """Train to the end, set the network's weights to the best ones, and return them.

        Raises TrainingDiverged if the loss becomes NaN or infinite, TrainingCancelled if the control commands it.
        """
        self._callbacks.on_start(self.progress.rows)
        self._saved_s, self._began = self.progress.seconds, time.perf_counter() - self.progress.seconds
        if self._has_start and not self.progress.rows:
            self._close_row(validated=True)
        with closing(iter(self._source)) as batches:
            self._train(batches)
        best = self.progress.best
        assert best is not None  # noqa: S101 - every path to here has validated once
        self._model.set_weights(best.weights)
        return best

    def _train(self, batches: Iterator[Batch]) -> None:
        progress = self.progress
        while progress.step < self._steps and not self._is_stale():
            command = self._callbacks.control.command(progress.step)
            if command in (TrainingCommand.CANCEL, TrainingCommand.LOST):
                raise TrainingCancelled(f"The training was cancelled after {progress.step} of {self._steps} steps.")
            if command is TrainingCommand.FINISH and self._can_finish():
                return
            self._train_group(*next(batches))

    def _is_stale(self) -> bool:
        return 0 < self._patience <= self.progress.stale_epochs

    def _can_finish(self) -> bool:
        """Validate the current weights if they are not validated yet; return False before the first step."""
        self._finishing = True
        if self._row_s:
            self._close_row(validated=True)
        return bool(self.progress.rows) and self.progress.rows[-1].val_loss is not None

    def _train_group(self, images: Any, targets: Any) -> None:
        """Train on the batches of a group of steps, and close the row if it ends there."""
        self._lr = float(f"{float(self._model.optimizer.learning_rate):.6g}")
        began = time.perf_counter()
        means = self._train_on(images, targets)
        seconds = time.perf_counter() - began
        self._step_s += seconds
        self._row_s += seconds
        self.progress.step += len(images)
        self._sums += len(images) * np.array(means)
        if not math.isfinite(means[0]):
            raise self._diverged()
        within = (self.progress.step - 1) % self._batches.steps + 1
        if within in row_steps(self._batches.steps):
            self._close_row(validated=self._finishing or within == self._batches.steps)

    def _close_row(self, *, validated: bool) -> None:
        """Record the steps since the previous row; if `validated`, also validate and record the epoch."""
        progress, callbacks = self.progress, self._callbacks
        metrics = self._validate() if validated else (None, None)
        progress.seconds = time.perf_counter() - self._began
        progress.rows.append(self._row(*metrics))
        self._row_s, self._sums = 0.0, np.zeros(2)
        if validated and progress.step:
            progress.history.append(self._epoch())
        if validated or progress.seconds - self._saved_s >= CHECKPOINT_S:
            callbacks.checkpoint.save(checkpoints.pack(progress, self._variables, self._identity))
            self._saved_s = progress.seconds
        callbacks.on_row(progress.rows[-1])
        if validated and progress.step:
            callbacks.on_epoch(progress.history[-1])

    def _validate(self) -> tuple[float, float]:
        """Return loss and accuracy on the validation images, and keep the weights if they are the best so far."""
        began = time.perf_counter()
        data, progress = self._dataset, self.progress
        logits = self._predict(data.x_val)
        if not np.isfinite(logits).all():
            raise self._diverged()
        temperature = evaluate.temperature(logits, data.y_val) if self._has_start else 1
        loss = round(evaluate.cross_entropy(softmax(logits / temperature), data.y_val), 6)
        accuracy = round(float(np.mean(logits.argmax(axis=1) == data.y_val)), 6)
        if progress.best is None or progress.best.beaten_by(accuracy, loss):
            progress.best = Best(self._current_epoch, accuracy, loss, self._model.get_weights())
        self._validation_s += time.perf_counter() - began
        return loss, accuracy

    def _row(self, val_loss: float | None, val_accuracy: float | None) -> Row:
        progress = self.progress
        since = progress.step - (progress.rows[-1].step if progress.rows else 0)
        loss, accuracy = np.round(self._sums / since, 6).tolist() if since else (None, None)
        return Row(
            n=len(progress.rows) + 1,
            epoch=self._current_epoch,
            step=progress.step,
            steps=self._steps,
            loss=loss,
            accuracy=accuracy,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            lr=self._lr if since else None,
            images_per_s=round(since * self._batches.size / self._row_s, 1) if since else 0.0,
            at=round(time.time(), 3),
        )

    def _epoch(self) -> Epoch:
        """Return the means over the epoch's rows, weighted by their steps."""
        progress = self.progress
        last = progress.rows[-1]
        rows = [row for row in progress.rows if row.epoch == last.epoch]
        counts = np.diff([(last.epoch - 1) * self._batches.steps, *(row.step for row in rows)])
        return Epoch(
            epoch=last.epoch,
            loss=round(float(np.average([row.loss for row in rows], weights=counts)), 4),
            accuracy=round(float(np.average([row.accuracy for row in rows], weights=counts)), 4),
            val_loss=round(last.val_loss or 0.0, 4),
            val_accuracy=round(last.val_accuracy or 0.0, 4),
            seconds=round(max(0.0, progress.seconds - sum(epoch.seconds for epoch in progress.history)), 1),
        )

    @property
    def _current_epoch(self) -> int:
        """Return the epoch of the last step, counted from 1."""
        return (self.progress.step - 1) // self._batches.steps + 1

    def _diverged(self) -> TrainingDiverged:
        return TrainingDiverged(f"Training diverged in epoch {self._current_epoch}: try a smaller learning rate.")
