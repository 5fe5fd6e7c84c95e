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
from shared.training import presets
from shared.training.params import parse
from worker.data.datasets import load_cifar10
from worker.evaluation.metrics import ViewsServed
from worker.presets import PRESETS
from worker.training.checkpoint import CheckpointStore, FileCheckpoint, NoCheckpoints
from worker.training.loop import Watch
from worker.training.publish_trained import publish_trained
from worker.training.train import train

#: Options that are hyperparameters of every preset, with what argparse shows in place of their value.
COMMON = ("epochs", "batch_size", "learning_rate")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status, 1 with one line on stderr where it cannot be done."""
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
    preset = PRESETS[params.preset]
    dataset = load_cifar10()
    print(f"{preset.name}, seed {params.seed}, {params.hyperparameters()}", flush=True)
    store: CheckpointStore = FileCheckpoint(options.checkpoint) if options.checkpoint else NoCheckpoints()
    watch = Watch(on_epoch=_print_epoch, checkpoint=store)
    trained = train(preset, dataset, params.seed, params, watch, base=options.base)
    print(trained.profile.sentence, flush=True)
    parent = options.base.parent.name if options.base else None
    return publish_trained(trained, dataset, options.out, parent, served=options.views)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """Return the parameters on the command line by name."""
    common = {name: getattr(options, name) for name in COMMON if getattr(options, name) is not None}
    return common | dict(map(_assignment, options.set)) | {"preset": options.preset, "seed": options.seed}


def _assignment(text: str) -> tuple[str, Any]:
    """Return name and value of `name=value`; the value is read as JSON, and as a word where it is none."""
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
        description="Train a preset on CIFAR-10, measure it on the test images, and publish it as a folder that holds "
        f"{MODEL_FILE} and {CARD_FILE}. The data is the .npz file that DARKROOM_CIFAR10 names, or else is downloaded.",
    )
    known = ", ".join(sorted(PRESETS))
    parser.add_argument("--preset", default="seed", help=f"what to train: {known} (default: seed)")
    parser.add_argument("--seed", type=int, default=0, help="random seed; the same one gives the same weights")
    parser.add_argument("--out", type=Path, default=Path("models"), help="folder to publish into (default: models)")
    parser.add_argument("--epochs", type=int, help="passes over the training images, instead of the preset's")
    parser.add_argument("--batch-size", type=int, help="images per gradient step, instead of the preset's")
    parser.add_argument("--learning-rate", type=float, help="the optimizer's step size, instead of the preset's")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any hyperparameter of the preset; repeatable"
    )
    parser.add_argument("--checkpoint", type=Path, help="file to go on from where it exists, written every epoch")
    parser.add_argument("--base", type=Path, help=f"{MODEL_FILE} of a published model of the preset to begin with")
    parser.add_argument(
        "--views",
        choices=get_args(ViewsServed),
        help="views of an image that the answer is averaged over; six are six times the work, adaptive: six only where "
        "one is not sure (default: the preset's)",
    )
    return parser
