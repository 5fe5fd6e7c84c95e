"""A picture of the mistakes that a model makes: for each pair of labels, those test images of which it was surest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Test images in each cell, side by side.
SHOWN = 3

#: Value of every channel where no image is.
BLANK = 255


def confusions(
    images: NDArray[np.uint8], truth: NDArray[Any], probabilities: NDArray[np.floating[Any]]
) -> NDArray[np.uint8]:
    """Return the picture, uint8 (classes · height, classes · SHOWN · width, channels), of images (n, height, width,
    channels) whose labels are `truth` (n,), and which were given `probabilities` (n, classes).

    The cell in row i and column j shows images of class i that were taken for j, the surest mistake first. White is
    where there is none, and so is the diagonal: a page finds every cell by its place alone.
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
