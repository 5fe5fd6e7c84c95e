"""An image of a model's mistakes: for each pair of labels, the test images with the highest confidence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Test images per cell, side by side.
SHOWN = 3

#: Value of all channels of empty cells: white.
BLANK = 255


def confusion_image(
    images: NDArray[np.uint8], truth: NDArray[Any], probabilities: NDArray[np.floating[Any]]
) -> NDArray[np.uint8]:
    """Return the mistakes as one image, uint8 (classes · height, classes · SHOWN · width, channels).

    `images` is (n, height, width, channels), `truth` (n,), `probabilities` (n, classes). The cell in row i and column j
    shows images of class i that were predicted as j, the most confident first. Empty cells and the diagonal are blank,
    so that the position of each cell is fixed.
    """
    classes, (height, width, channels) = probabilities.shape[1], images.shape[1:]
    picture = np.full((classes, height, classes, SHOWN, width, channels), BLANK, np.uint8)
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    mistakes = np.flatnonzero(answers != truth)
    filled = np.zeros((classes, classes), np.int64)
    for image in mistakes[np.argsort(-confidence[mistakes], kind="stable")]:
        cell = truth[image], answers[image]
        if filled[cell] < SHOWN:
            picture[cell[0], :, cell[1], filled[cell]] = images[image]
            filled[cell] += 1
    return picture.reshape(classes * height, classes * SHOWN * width, channels)
