"""Where a network sees a label in a picture: by its class-activation map if its end allows that, else by occlusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from worker.serving.forward import Network
from worker.serving.tta import log

#: A function from one uint8 picture (height, width, channels) and the index of a label to a float32 map (rows, columns)
#: over the whole picture. Greater values are more evidence for the label; only their differences have a meaning.
Locate = Callable[[NDArray[np.uint8], int], NDArray[np.float32]]
#: A function from uint8 pictures (n, height, width, channels) to the feature maps (n, rows, columns, features) whose
#: mean the last layer gets.
Features = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

#: Rows and columns of a map by occlusion. A patch hides 2 × 2 cells, so the patches and the whole picture, 26 pictures,
#: are one batch.
CELLS, PATCH = 6, 2


def by_activation(features: Features, weights: NDArray[np.float32], *, independent: bool = False) -> Locate:
    """Return the exact map of a network whose last layer has `weights` (features, labels).

    Its mean is the label's logit, apart from the bias. Unless the labels are independent, it is the logit less the mean
    logit of all labels: what speaks for every label speaks for none. B. Zhou et al., "Learning Deep Features for
    Discriminative Localization", CVPR 2016.
    """
    common = 0 if independent else weights.mean(axis=1)

    def locate(picture: NDArray[np.uint8], label: int) -> NDArray[np.float32]:
        evidence: NDArray[np.float32] = features(picture[None])[0] @ (weights[:, label] - common)
        return evidence

    return locate


def by_occlusion(network: Network, *, independent: bool = False) -> Locate:
    """Return the map of any network: how much of the label's log-odds a patch in the picture's mean colour takes away.

    M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.
    """

    def locate(picture: NDArray[np.uint8], label: int) -> NDArray[np.float32]:
        places = list(_patches(*picture.shape[:2]))
        pictures = np.repeat(picture[None], len(places) + 1, axis=0)
        for hidden, (rows, columns) in zip(pictures[1:], places, strict=True):
            hidden[rows, columns] = picture.mean(axis=(0, 1)).round()
        odds = log_odds(network(pictures), label, independent=independent)
        return _spread((odds[0] - odds[1:]).reshape(CELLS - PATCH + 1, -1))

    return locate


def log_odds(probabilities: NDArray[np.float32], label: int, *, independent: bool = False) -> NDArray[np.float64]:
    """Return the log-odds (n,) of a label. Unless the labels are independent, they are precise if it rounds to 1."""
    alone = probabilities[:, label].astype(np.float64)
    others = 1 - alone if independent else np.delete(probabilities, label, axis=1).sum(axis=1, dtype=np.float64)
    return log(alone) - log(others)


def _patches(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of each patch, row by row."""
    down, right = (np.linspace(0, side, CELLS + 1).round().astype(int) for side in (height, width))
    for row in range(CELLS - PATCH + 1):
        for column in range(CELLS - PATCH + 1):
            yield slice(down[row], down[row + PATCH]), slice(right[column], right[column + PATCH])


def _spread(patches: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return for each cell the mean of the patches that hide it."""
    total, count = np.zeros((CELLS, CELLS)), np.zeros((CELLS, CELLS))
    for (row, column), value in np.ndenumerate(patches):
        cells = slice(row, row + PATCH), slice(column, column + PATCH)
        total[cells] += value
        count[cells] += 1
    return (total / count).astype(np.float32)
