"""The Head that a fine-tuning starts from, fitted to several views of each picture: mirrored, cropped, lit otherwise.

Scenes that no training picture shows are recognised better by it; see docs/decisions/0042-finetune.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shared.domain.card import Unknown
from shared.training.presets import FinetuneParams
from worker.data.augment import adjust_light, crop, crop_boxes, mirror
from worker.data.datasets import Dataset
from worker.evaluation import evaluate
from worker.heads.fit import FittedHead, fit_again, unknown_rule
from worker.heads.methods import Linear
from worker.heads.trials import cooled, fitted_temperature
from worker.serving.backbone import Backbone
from worker.serving.head import Head, nearest_distance, normalised
from worker.serving.tta import softmax

#: Smallest share of a picture that a view shows. The classifier sees parts of things that way.
SMALLEST: Final = 0.1
#: Pictures in a forward pass.
BATCH: Final = 64

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Begin:
    """The classifier that a network starts from, and the Head of all pictures that is kept if nothing is better."""

    linear: Linear
    fitted: FittedHead
    views: int


def best_begin(backbone: Backbone, fitted: FittedHead, images: Dataset, params: FinetuneParams) -> Begin:
    """Return the Head as it is, or one that has learnt from views, by the smaller loss on the validation pictures.

    The network's classifier has not learnt from the validation pictures; the Head has, in the end.
    """
    given, held = embed(backbone, images.x_train), embed(backbone, images.x_val)
    classes, views = len(images.labels), params.views if params.augment else 0
    plain = fit_again(fitted, given, images.y_train, classes)
    if not views:
        return Begin(plain, fitted, 0)
    seen = np.concatenate([given, *varied(backbone, images.x_train, views, params)])
    linear = fit_again(fitted, seen, np.tile(images.y_train, views + 1), classes)
    if loss(linear, held, images.y_val) >= loss(plain, held, images.y_val):
        return Begin(plain, fitted, 0)
    temperature = fitted_temperature(linear.logits(held), images.y_val)
    unknown = unknown_rule(probabilities(linear, held, temperature), nearest_distance(held, normalised(given)))
    both = np.concatenate([seen, held, *varied(backbone, images.x_val, views, params)])
    truth = np.concatenate([np.tile(images.y_train, views + 1), np.tile(images.y_val, views + 1)])
    whole = fit_again(fitted, both, truth, classes)
    return Begin(linear, _with_classifier(fitted, whole, temperature, unknown), views)


def varied(backbone: Backbone, images: Pixels, views: int, params: FinetuneParams) -> list[Floats]:
    """Return the Embeddings (n, d) of each view of images (n, height, width, 3): the mirror image, then crops.

    What is drawn depends on the seed, the view and the image's place alone.
    """
    return [embed(backbone, images, _Draws(view, len(images), params)) for view in range(views)]


def loss(linear: Linear, held: Floats, truth: NDArray[Any]) -> float:
    """Return the mean cross-entropy, in nats, on held-out Embeddings (n, d) after the best temperature."""
    temperature = fitted_temperature(linear.logits(held), truth)
    return evaluate.cross_entropy(probabilities(linear, held, temperature), truth)


def probabilities(linear: Linear, embeddings: Floats, temperature: float) -> Floats:
    """Return the probabilities (n, classes) that a classifier gives to Embeddings (n, d)."""
    return softmax(cooled(linear.logits(embeddings), temperature))


class _Draws:
    """Random draws of one view, and the change of images that they mean."""

    def __init__(self, view: int, count: int, params: FinetuneParams) -> None:
        generator = np.random.default_rng((params.seed, view))
        self._is_mirror_image = view == 0
        self._boxes = crop_boxes(generator.random((count, 4)), SMALLEST)
        self._mirrored = generator.random(count) < 0.5
        light = generator.uniform(-1, 1, (count, 2)) * (255 * params.brightness, params.contrast) + (0, 1)
        self._light = light.astype(np.float32)

    def __call__(self, images: Pixels, part: slice) -> Pixels:
        """Return the view of the images in a part."""
        if self._is_mirror_image:
            return images[:, :, ::-1]
        cropped = mirror(crop(images, self._boxes[part]), self._mirrored[part])
        return adjust_light(cropped, self._light[part]).clip(0, 255).astype(np.uint8)


def embed(backbone: Backbone, images: Pixels, change: _Draws | None = None) -> Floats:
    """Return the Embeddings (n, d) of images (n, height, width, 3), changed if wanted."""
    parts = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
    changed = ((change(images[part], part) if change else images[part]) for part in parts)
    return np.concatenate([backbone.embed(np.ascontiguousarray(each)) for each in changed]).astype(np.float32)


def _with_classifier(fitted: FittedHead, linear: Linear, temperature: float, unknown: Unknown) -> FittedHead:
    """Return the Head with another classifier, at a temperature, and its rule for unknown pictures."""
    bias = cooled(linear.bias, temperature)
    head = Head(linear.weights / np.float32(temperature), bias, fitted.head.references)
    return replace(fitted, head=head, temperature=fitted.temperature * temperature, unknown=unknown)
