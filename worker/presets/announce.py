"""Telling the web process what can be trained here, and what that costs. Does not load TensorFlow."""

from __future__ import annotations

import socket
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.services import Services
from shared.training.preset_catalog import Cost, PresetInfo
from worker import hardware
from worker.presets import PRESETS, Params, Preset

#: Small matrices, so that each product runs on one core: a library that shares one out among its threads waits for all
#: of them, and on a busy machine took up to twenty times as long. So many that Python's own part does not count.
MATRICES = (20, 64, 64)
#: Seconds in which products are timed; the fastest counts, as whatever else runs can only slow them down.
TIMED_S = 0.1
#: A step of training takes three forward passes: its own, and the gradients of the inputs and of the weights.
PASSES = 3


def announce(services: Services) -> None:
    """Announce the presets of this code, with this machine's speed. Raises Unavailable."""
    speed = machine_speed()
    services.catalogue.announce([describe(preset, speed) for preset in PRESETS.values()])


def announce_missing(services: Services) -> None:
    """Announce the presets where nobody has, or where Redis has lost them. Raises Unavailable."""
    if not services.catalogue.announced():
        announce(services)


def measured(services: Services, preset: Preset[Any], params: Params, images_per_s: float) -> None:
    """Record how fast a training was, where its network was the preset's own. Raises Unavailable."""
    if preset.flops(params) == preset.flops(preset.params):
        services.catalogue.measured(preset.name, socket.gethostname(), images_per_s)


def machine_speed() -> float:
    """Return floating-point operations per second of all cores together, in products of small float32 matrices."""
    matrices, deadline = np.ones(MATRICES, np.float32), time.perf_counter() + TIMED_S
    shortest = _product_s(matrices)
    while time.perf_counter() < deadline:
        shortest = min(shortest, _product_s(matrices))
    return 2 * matrices.size * MATRICES[-1] / shortest * hardware.cores()


def _product_s(matrices: NDArray[np.float32]) -> float:
    begin = time.perf_counter()
    np.matmul(matrices, matrices)
    return time.perf_counter() - begin


def describe(preset: Preset[Any], speed: float) -> PresetInfo:
    """Return what is announced of a preset on a machine of this speed, in floating-point operations per second.

    The speed is the processor's: on a GPU a training is much faster, which the first one tells.
    """
    size, flops = preset.size(preset.params), preset.flops(preset.params)
    images_per_s = round(speed * preset.efficiency / (PASSES * flops), 1)
    return PresetInfo(
        preset.name, preset.summary, preset.parameters(), Cost(size, flops, images_per_s, socket.gethostname())
    )
