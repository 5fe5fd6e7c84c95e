"""Train preset `finetune`: the Backbone itself learns on, from the Head that preset `head` would find.

The validation pictures, a fifth of the training pictures, decide between the Head and the network, and between epochs.
"""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from shared.services import Services
from shared.training.presets import FINETUNE, FinetuneParams
from shared.training.speeds import Speed
from worker import hardware
from worker.data.datasets import Dataset
from worker.datasets.images import images_of
from worker.datasets.pixels import StoredPictures
from worker.datasets.snapshot import FrozenDataset
from worker.heads.methods import Linear
from worker.presets import Start
from worker.serving.backbone import Backbone, find_backbone
from worker.training.head import LearntHead, learn
from worker.training.views import best_begin

#: Speed of a training with the default parameters, as a share of the speed at which the Backbone embeds pictures in
#: batches: 31 ms of processor time for a picture, and 10 ms.
TRAINING_SHARE = 1 / 3

#: Least bias to start from: a label without pictures to learn from gets no answers, and no huge losses.
LEAST_BIAS = -30.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """The Head that has learnt from all training pictures, what the network starts from, and the pictures."""

    learnt: LearntHead
    start: Start
    images: Dataset


def prepare(services: Services, frozen: FrozenDataset, params: FinetuneParams, owner: str) -> Prepared:
    """Return what a training starts from. The network starts from a Head that has not seen the validation pictures.

    Raise TooFewPictures, ModelUnusable without a Backbone, NotFound, Unavailable.
    """
    learnt = learn(services, frozen, params.seed, network=params.backbone)
    images = _images(services, learnt, params.dataset, owner)
    begin = best_begin(learnt.backbone, learnt.fitted, images, params)
    learnt = replace(learnt, fitted=begin.fitted, views=begin.views)
    return Prepared(learnt, _start(services, learnt.backbone, begin.linear), images)


def _start(services: Services, backbone: Backbone, linear: Linear) -> Start:
    bias = np.maximum(linear.bias, np.float32(LEAST_BIAS))
    return Start(services.registry.model_file(backbone.version), linear.weights, bias, backbone.card.preprocessing)


def _images(services: Services, learnt: LearntHead, name: str, owner: str) -> Dataset:
    frozen, blocks = learnt.frozen, services.dataset_pictures.blocks(learnt.frozen.dataset)
    with ThreadPoolExecutor(hardware.cores()) as pool:
        stored = StoredPictures(services.blobs, frozen.dataset, services.settings.max_pixels, pool)
        return images_of(frozen, blocks, stored, name, owner, shape=learnt.backbone.card.input)


def is_usual(services: Services, backbone: str) -> bool:
    """Return whether trainings start from this version unless they name another. Raise ModelUnusable without one."""
    return backbone == find_backbone(services.registry).version


def expect_speed(services: Services, version: str) -> None:
    """Record the speed that a training can be expected to have, unless one was measured: by the speed of a Head.

    It is that of trainings with the usual Backbone.
    """
    card = services.registry.card(version)
    if FINETUNE not in services.speeds.all() and card.backbone and is_usual(services, card.backbone.version):
        speed = Speed(TRAINING_SHARE * card.latency.batch_images_per_second, socket.gethostname())
        services.speeds.record(FINETUNE, speed)
