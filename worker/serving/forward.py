"""What is served: a network's answers, and a second look, from six views, at the images that it is not sure of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Views
from shared.domain.errors import DarkroomError
from worker.serving.tta import VIEWS, View, log, softmax

#: Thresholds below and above every confidence: one view of every image will do, or of none.
NEVER, ALWAYS = 0.0, 2.0

#: From uint8 images (n, height, width, channels) to float32 probabilities (n, labels), for any n.
Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Forward = Network


class ModelUnusable(DarkroomError):
    """A published model that cannot serve: its file is missing, damaged, or does not fit its card."""


def tta_threshold(views: Views | None) -> float:
    """Below which confidence an image is looked at again, by what a card says of the views."""
    if views is None or views.served == 1:
        return NEVER
    return ALWAYS if views.served == 6 else views.threshold or NEVER


def with_tta(network: Network, below: float = NEVER) -> Forward:
    """What is served of a network that looks at an image once.

    Where the greatest probability is less than `below`, the answer is that of six views. An image's answer
    depends on no other image in the batch, but for the rounding of float32.
    """
    if below <= NEVER:
        return network

    def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answers = network(images)
        unsure = answers.max(axis=1) < below
        if not unsure.any():
            return answers
        answers = answers.copy()
        answers[unsure] = _merged(network, images[unsure], answers[unsure])
        return answers

    return forward


def _merged(network: Network, images: NDArray[np.uint8], first: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over all views, of which the first is known; that of the logarithms, as if logits were averaged."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    answers = [first, *(network(_seen(padded, view)) for view in VIEWS[1:])]
    logs = sum(view.weight * log(answer) for view, answer in zip(VIEWS, answers, strict=True))
    return softmax(logs).astype(np.float32)


def _seen(padded: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """A view of images that are padded by one pixel."""
    start, stop = 1 - view.shift, -1 - view.shift
    window = padded[:, start : stop or None, start : stop or None]
    return window[:, :, ::-1] if view.mirrored else window
