"""Own classes: Embeddings, Heads and unknown pictures, then the whole service from an import to a served version.

The folder has a folder for each class, at any depth. A fifth of the pictures is held out. The unknown pictures are
those of CIFAR-10.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import classes_service
from bench.table import Figures, Goal, Row, ratio
from shared.models.registry import Registry
from worker import hardware
from worker.data.datasets import load_cifar10
from worker.data.decode import decode
from worker.data.examine import examine
from worker.evaluation import evaluate
from worker.heads.curve import accuracy_by_share
from worker.heads.doubt import doubts
from worker.heads.fit import FittedHead, fit_head
from worker.heads.folds import FOLDS, assign_folds
from worker.serving.backbone import Backbone, Backbones, find_backbone

MAX_PIXELS = 100_000_000
#: Pictures whose decoding and embedding are timed, those embedded at a time, and unknown pictures.
TIMED, BATCH, UNKNOWN = 512, 128, 400


@dataclass(frozen=True, eq=False)
class Split:
    """Embeddings and labels of pictures to learn from, and of those held out."""

    x: NDArray[np.float16]
    y: NDArray[np.int64]
    x_test: NDArray[np.float16]
    y_test: NDArray[np.int64]


def rows(pictures: Path, repeats: int) -> Iterator[Row]:
    """Yield the rows of the table."""
    registry = Registry()
    backbone = Backbones(registry, hardware.cores()).get(find_backbone(registry).version)
    files = sorted(path for path in pictures.rglob("*") if path.is_file())
    yield examined(backbone, files[:: max(1, len(files) // TIMED)][:TIMED], repeats)
    labels = np.unique([str(file.parent) for file in files], return_inverse=True)[1]
    x = embeddings(backbone, files)
    splits = [split for split, _ in zip(folds(x, labels), range(repeats), strict=False)]
    yield from heads(splits)
    yield from unknowns(backbone, splits[0])
    yield from doubted(x, labels, repeats)
    yield from classes_service.rows(pictures, files, repeats)


def examined(backbone: Backbone, files: list[Path], repeats: int) -> Row:
    """Compare the work of an import, thumbnails and hashes included, with decoding and embedding alone."""
    shape = backbone.card.input

    def whole(file: Path) -> NDArray[np.uint8]:
        return examine(file.read_bytes(), shape, MAX_PIXELS).pixels

    def bare(file: Path) -> NDArray[np.uint8]:
        return decode(file.read_bytes(), shape.height, shape.width, MAX_PIXELS)

    pairs = [(speed(backbone, files, whole), speed(backbone, files, bare)) for _ in range(repeats)]
    ours, theirs = (Figures([pair[place] for pair in pairs], "pictures/s") for place in (0, 1))
    return ratio("read, examine, embed", ours, "read, decode, embed", theirs, Goal(0.85))


def speed(backbone: Backbone, files: list[Path], read: Callable[[Path], NDArray[np.uint8]]) -> float:
    """Return the pictures per second over all cores."""
    start = time.perf_counter()
    with ThreadPoolExecutor(hardware.cores()) as pool:
        for place in range(0, len(files), BATCH):
            backbone.embed(np.stack(list(pool.map(read, files[place : place + BATCH]))))
    return len(files) / (time.perf_counter() - start)


def embeddings(backbone: Backbone, files: list[Path]) -> NDArray[np.float16]:
    """Return the Embeddings of all pictures."""
    shape, parts = backbone.card.input, []
    with ThreadPoolExecutor(hardware.cores()) as pool:
        for place in range(0, len(files), BATCH):
            batch = files[place : place + BATCH]
            pixels = pool.map(lambda file: decode(file.read_bytes(), shape.height, shape.width, MAX_PIXELS), batch)
            parts.append(backbone.embed(np.stack(list(pixels))))
    return np.concatenate(parts)


def folds(x: NDArray[np.float16], y: NDArray[np.int64]) -> Iterator[Split]:
    """Hold out each fifth of each class in turn, again and again."""
    fold = assign_folds(y, np.arange(len(y)), seed=0)
    for number in itertools.cycle(range(FOLDS)):
        held = fold == number
        yield Split(x[~held], y[~held], x[held], y[held])


def heads(splits: list[Split]) -> Iterator[Row]:
    """Compare the fit of a Head with scikit-learn's methods: in time with one, in accuracy with the best of three."""
    times, accuracies, errors = [], [], []
    for split in splits:
        own, fitted = timed(fit_head, split.x, split.y, int(split.y.max()) + 1)
        other, logistic = timed(scikit_learn, "logistic regression", split)
        best = max(logistic, *(scikit_learn(name, split) for name in ("LDA", "nearest mean")))
        probabilities = fitted.head.probabilities(split.x_test)
        accuracy = 100 * float(np.mean(probabilities.argmax(axis=1) == split.y_test))
        times.append((own, other))
        accuracies.append((accuracy, 100 * best, accuracy - 100 * best))
        errors.append(evaluate.calibration_error(probabilities, split.y_test))
    ours, theirs = (Figures(list(column), "s") for column in zip(*times, strict=True))
    yield ratio("fit of a Head", ours, "LogisticRegression", theirs, Goal(1, at_least=False))
    ours, theirs, points = (Figures(list(column), "%") for column in zip(*accuracies, strict=True))
    name = "best of LDA, logistic regression, nearest mean"
    yield Row("accuracy, held out", ours, name, theirs, points, Goal(-0.5))
    yield Row("calibration error, held out", Figures(errors, ""), goal=Goal(0.03, at_least=False))
    yield memory(fitted)


def scikit_learn(name: str, split: Split) -> float:
    """Return the accuracy of a method of scikit-learn. LDA shrinks the covariance: few pictures a class."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestCentroid

    methods = {
        "logistic regression": LogisticRegression(max_iter=1000),
        "LDA": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
        "nearest mean": NearestCentroid(),
    }
    model = methods[name].fit(split.x.astype(np.float32), split.y)
    return float(model.score(split.x_test.astype(np.float32), split.y_test))


def memory(fitted: FittedHead) -> Row:
    """Return the size of a Head: all that a second Classifier on the same Backbone adds."""
    head = fitted.head
    size = sum(array.nbytes for array in (head.weights, head.bias, head.references)) / 2**20
    return Row("a second Head in memory", Figures([size], "MB"), goal=Goal(30, at_least=False))


def unknowns(backbone: Backbone, split: Split) -> Iterator[Row]:
    """Compare the distance with the best score, as a sign of pictures of other things."""
    fitted, shape = fit_head(split.x, split.y, int(split.y.max()) + 1), backbone.card.input
    images = [Image.fromarray(image) for image in load_cifar10().x_test[:UNKNOWN]]
    size = shape.width, shape.height
    other = backbone.embed(np.stack([np.asarray(image.resize(size, Image.Resampling.BICUBIC)) for image in images]))
    novelty = auroc(fitted.head.novelty(split.x_test), fitted.head.novelty(other))
    known, strange = (fitted.head.probabilities(x).max(axis=1) for x in (split.x_test, other))
    yield ratio("unknown pictures, AUROC", Figures([novelty], ""), "best score", Figures([auroc(-known, -strange)], ""))


def doubted(x: NDArray[np.float16], y: NDArray[np.int64], repeats: int) -> Iterator[Row]:
    """Change 5 % of the labels at random; yield how many of them are found, and the time of the curve for a report."""
    classes, found, times = int(y.max()) + 1, [], []
    for seed in range(repeats):
        random = np.random.default_rng(seed)
        wrong, given = random.permutation(len(y))[: len(y) // 20], y.copy()
        given[wrong] = (y[wrong] + random.integers(1, classes, len(wrong))) % classes
        fitted = fit_head(x, given, classes)
        most = np.argsort(-doubts(fitted.probabilities, given).doubt)[: len(y) // 10]
        found.append(100 * float(np.isin(wrong, most).mean()))
        groups = np.arange(len(y))
        times.append(timed(accuracy_by_share, x, given, classes, fitted.parts, groups=groups, seed=0)[0])
    yield Row("wrong labels among the most doubted 10 %", Figures(found, "%"), goal=Goal(85))
    yield Row("learning curve", Figures(times, "s"))


def auroc(negative: NDArray[Any], positive: NDArray[Any]) -> float:
    """Return the probability that a positive value is above a negative one."""
    below = np.searchsorted(np.sort(negative), positive, side="left")
    upto = np.searchsorted(np.sort(negative), positive, side="right")
    return float((below + upto).mean() / 2 / len(negative))


def timed(call: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[float, Any]:
    """Return the seconds of a call, and its result."""
    start = time.perf_counter()
    result = call(*arguments, **options)
    return time.perf_counter() - start, result
