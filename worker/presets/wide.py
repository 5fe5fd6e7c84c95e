"""Preset `wide`: `fast` with more filters and twice the epochs, for a GPU or a patient processor.

The widths are those of `airbench95.py` in KellerJordan/cifar10-airbench, which reaches 95.0 % with six views in the
mean of 200 runs of 15 epochs with SGD.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.presets.base import Epochs, Preset
from worker.presets.fast import FastParams, Width, build, work


@dataclass(frozen=True, kw_only=True)
class WideParams(FastParams):
    """The hyperparameters of `wide`; those that are not here are those of `fast`."""

    # More filters learn by heart sooner, but alternating mirror images keep 16 epochs fresh.
    epochs: Epochs = 16

    # Twice those of the network that `fast` is made from.
    width1: Width = 128

    # Half as many again as that.
    width2: Width = 384

    # Half as many again as that.
    width3: Width = 384


WIDE = Preset(
    name="wide",
    summary="The network of preset fast, wider and for twice the epochs: three times the work",
    params=WideParams(),
    build=build,
    work=work,
    efficiency=0.65,
)
