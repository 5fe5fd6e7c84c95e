"""The command line of `python -m worker.training`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, get_args

from shared.domain.card import CARD_FILE, MODEL_FILE, Epoch, ModelCard
from shared.domain.errors import DarkroomError, InvalidRequest
from shared.models.registry import Registry
from shared.training import presets
from shared.training.params import parse
from shared.training.presets import DistilParams, TrainingParams
from worker.data.datasets import Dataset, load_cifar10
from worker.evaluation.measurements import ViewsServed
from worker.presets import PRESETS
from worker.training.checkpoint import CheckpointStore, FileCheckpointStore, NoCheckpoints
from worker.training.loop import Callbacks
from worker.training.publish_trained import publish_trained
from worker.training.teacher import Targets, load_teacher, soft_targets
from worker.training.train import train

#: Options that are hyperparameters of every preset.
COMMON = ("epochs", "batch_size", "learning_rate")


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status; an error is one line on stderr and status 1."""
    options = _parser().parse_args(arguments)
    try:
        card = _run(options)
    except (DarkroomError, OSError) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(_summary(card))
    return 0


def _run(options: argparse.Namespace) -> ModelCard:
    params = parse(_given(options))
    if isinstance(params, DistilParams) and params.teacher is None:
        params = params.model_copy(update={"teacher": Registry().champion().version})
    if not isinstance(params, TrainingParams):
        raise InvalidRequest(f"{params.preset} learns from a dataset of the service: use `darkroom train`.")
    preset = PRESETS[params.preset]
    dataset = load_cifar10()
    print(f"{preset.name}, seed {params.seed}, {params.hyperparameters()}", flush=True)
    store: CheckpointStore = FileCheckpointStore(options.checkpoint) if options.checkpoint else NoCheckpoints()
    callbacks = Callbacks(on_epoch=_print_epoch, checkpoint=store)
    targets = _answers(params, dataset) if isinstance(params, DistilParams) else None
    trained = train(preset, dataset, params, callbacks, base=options.base, targets=targets)
    print(trained.profile.summary, flush=True)
    parent = options.base.parent.name if options.base else None
    return publish_trained(trained, dataset, options.out, parent, served=options.views)


def _answers(params: DistilParams, dataset: Dataset) -> Targets:
    """Return what the teacher, one of the shipped versions, answers for the training images."""
    teacher = load_teacher(Registry(), str(params.teacher), dataset.labels)
    return soft_targets(teacher, dataset.x_train, params.softness)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters on the command line by name."""
    common = {name: getattr(options, name) for name in COMMON if getattr(options, name) is not None}
    return common | dict(map(_assignment, options.set)) | {"preset": options.preset, "seed": options.seed}


def _assignment(text: str) -> tuple[str, Any]:
    """Return name and value of `name=value`; a value that is not JSON is a string."""
    name, equals, value = text.partition("=")
    if not equals or name in presets.COMMON:
        raise InvalidRequest(f"--set needs name=value with a hyperparameter's name, not {text}.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print_epoch(epoch: Epoch) -> None:
    print(
        f"epoch {epoch.epoch:3}  loss {epoch.loss:.4f}  accuracy {epoch.accuracy:.4f}  "
        f"val_loss {epoch.val_loss:.4f}  val_accuracy {epoch.val_accuracy:.4f}  {epoch.seconds:.1f} s",
        flush=True,
    )


def _summary(card: ModelCard) -> str:
    views, calibration = card.views, card.calibration
    more = f" ({views.single_accuracy:.2%} with one view, {views.six_accuracy:.2%} with six)" if views else ""
    if calibration:
        more += f", calibration error {calibration.error_before:.4f} before and {calibration.error_after:.4f} after"
        more += f" temperature {calibration.temperature:.3f}"
    accuracy = f"{card.metrics.accuracy:.2%}" if card.metrics else "unknown"
    return f"test accuracy {accuracy}{more}, trained in {card.training_seconds or 0:.0f} s: {card.version}"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m worker.training",
        description="Train a preset on CIFAR-10, evaluate it on the test images, and publish it as a folder with "
        f"{MODEL_FILE} and {CARD_FILE}. Reads the .npz file in DARKROOM_CIFAR10, or downloads the data if unset.",
    )
    known = ", ".join(sorted(PRESETS))
    parser.add_argument("--preset", default="seed", help=f"preset to train: {known} (default: seed)")
    parser.add_argument("--seed", type=int, default=0, help="random seed; equal seeds give equal weights")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish to (default: models)")
    parser.add_argument("--epochs", type=int, help="passes over the training images (default: the preset's)")
    parser.add_argument("--batch-size", type=int, help="images per gradient step (default: the preset's)")
    parser.add_argument("--learning-rate", type=float, help="learning rate of the optimizer (default: the preset's)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any hyperparameter of the preset; repeatable"
    )
    parser.add_argument("--checkpoint", type=Path, help="file to resume from if it exists; written every epoch")
    parser.add_argument("--base", type=Path, help=f"{MODEL_FILE} of a published model of the same preset to start from")
    parser.add_argument(
        "--views",
        choices=get_args(ViewsServed),
        help="views of an image to average over; six take six times as long, adaptive uses six only if one view "
        "is unsure (default: the preset's)",
    )
    return parser
