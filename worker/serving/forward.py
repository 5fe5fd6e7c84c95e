"""Test-time augmentation (TTA) as it is served: six views for images whose single-view confidence is low."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Views
from shared.domain.errors import DarkroomError
from worker.serving.tta import VIEWS, View, log, softmax

#: Thresholds below and above every confidence: TTA for no image, or for every image.
NEVER, ALWAYS = 0.0, 2.0

#: A function from uint8 images (n, height, width, channels) to float32 probabilities (n, labels), for any n.
Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

#: Names of the outputs of a network: all have the first; Backbones have the second; `features`, what is pooled at its
#: end, is added when it is loaded.
PROBABILITIES, EMBEDDING, FEATURES = "probabilities", "embedding", "features"

#: A function from uint8 images (n, height, width, channels) to the outputs by name, float32 (n, values), for any n.
Outputs = Callable[[NDArray[np.uint8]], Mapping[str, NDArray[np.float32]]]


class ModelUnusable(DarkroomError):
    """A published model that cannot serve: its file is missing, damaged or does not match its card."""


def tta_threshold(views: Views | None) -> float:
    """Return the confidence below which an image gets six views, from a model card's `views`."""
    if views is None or views.served == 1:
        return NEVER
    return ALWAYS if views.served == 6 else views.threshold or NEVER


def with_tta(network: Network, below: float = NEVER) -> Network:
    """Return `network` with six views for each image whose highest probability is less than `below`.

    Apart from float32 rounding, the result of an image does not depend on the other images of its batch.
    """
    if below <= NEVER:
        return network

    def forward(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores = network(images)
        unsure = scores.max(axis=1) < below
        if not unsure.any():
            return scores
        scores = scores.copy()
        scores[unsure] = _average_views(network, images[unsure], scores[unsure])
        return scores

    return forward


def _average_views(network: Network, images: NDArray[np.uint8], first: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the geometric mean over all views, normalised: the mean of the logits. `first` is that of VIEWS[0]."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    others = network(np.concatenate([_apply_view(padded, view) for view in VIEWS[1:]]))
    scores = [first, *np.split(others, len(VIEWS) - 1)]
    logs = sum(view.weight * log(each) for view, each in zip(VIEWS, scores, strict=True))
    return softmax(logs).astype(np.float32)


def _apply_view(padded: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Return a view of images (n, height + 2, width + 2, channels) that are padded by one pixel."""
    start, stop = 1 - view.shift, -1 - view.shift
    window = padded[:, start : stop or None, start : stop or None]
    return window[:, :, ::-1] if view.mirrored else window
