"""What a preset is: a network, the hyperparameters that train it, and what values these may have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.errors import Fault, InvalidRequest
from worker.hardware import on_accelerator
from worker.presets.fields import Choice, Flag, Number, Whole, faults, specs

#: Ways to mirror the training images; see `worker.augment`.
FLIPS = ("none", "random", "alternate")

Epochs = Annotated[int, Whole("passes over the training images", 1, 1000)]
BatchSize = Annotated[int, Whole("images per gradient step", 1, 10_000, "images")]
LearningRate = Annotated[float, Number("the optimizer's step size at its greatest", 1e-6, 10)]
Augment = Annotated[bool, Flag("whether the training images are varied as the preset says")]
Smoothing = Annotated[float, Number("probability in the target that is spread evenly over all labels", 0, 0.9)]
Patience = Annotated[int, Whole("epochs without a better validation accuracy that end the training; 0: none", 0, 1000)]
Flip = Annotated[str, Choice("mirror images: by chance, or by chance once and then in turns", FLIPS)]
Translate = Annotated[int, Whole("greatest shift along each axis, the edge mirrored", 0, 8, "pixels")]
Brightness = Annotated[float, Number("greatest shift of all values, as a share of the value range", 0, 0.5)]
Contrast = Annotated[float, Number("greatest stretch of the values, as a share of 1", 0, 0.5)]
Precision = Annotated[
    str,
    Choice("arithmetic of the layers; auto: bfloat16 where the hardware has it", ("auto", "float32", "bfloat16")),
]

#: What every random draw follows from. It fits into 32 bits, as NumPy, TensorFlow and Keras all take it.
SEED = Whole("the same seed gives the same weights on the same machine", 0, 2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class Params:
    """The hyperparameters that every preset has; a preset gives them defaults, and adds its own in a subclass.

    Raises InvalidRequest, with a Fault for each field that is out of its range.
    """

    epochs: Epochs
    batch_size: BatchSize
    learning_rate: LearningRate
    augment: Augment
    label_smoothing: Smoothing
    patience: Patience = 0
    flip: Flip = "random"
    translate: Translate = 2
    brightness: Brightness = 0.0
    contrast: Contrast = 0.0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        allowed = specs(type(self))
        refuse(faults(allowed, vars(self)))
        for name, spec in allowed.items():
            object.__setattr__(self, name, spec.checked(getattr(self, name)))

    def changed(self, **changes: Any) -> Params:
        """Return a copy with the given fields; one that is None keeps its value."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        """Return every hyperparameter by name, as a model's card records them."""
        return asdict(self)


def refuse(found: Sequence[Fault], pointer: str = "") -> None:
    """Raise InvalidRequest with one sentence over all faults, where there is one; `pointer` goes before their names."""
    if found:
        placed = [Fault(pointer + fault.pointer, fault.detail) for fault in found]
        raise InvalidRequest("; ".join(f"{fault.pointer} {fault.detail}" for fault in found) + ".", placed)


@dataclass(frozen=True, eq=False)
class Setup:
    """What a network is built from besides its hyperparameters.

    `images` are the training images, uint8 (n, height, width, 3), for the statistics that a layer starts from.
    `precision` is Keras's name of the arithmetic, `float32` or `mixed_bfloat16`.
    """

    seed: int
    steps_per_epoch: int
    images: NDArray[np.uint8]
    classes: int
    precision: str = "float32"


def compiled(network: Any, optimizer: Any, params: Params) -> Any:
    """Return the Keras model ready to learn one-hot targets (n, classes) from its logits, by cross-entropy in nats."""
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    network.compile(
        optimizer=optimizer,
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=params.label_smoothing),
        metrics=["accuracy"],
        jit_compile=on_accelerator(),
    )
    return network


P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Preset(Generic[P]):
    """A named recipe.

    `build` takes the hyperparameters and a Setup, and returns a compiled `keras.Model` that maps RGB images
    (n, height, width, 3), values 0 to 255, to logits (n, classes), float32, through built-in layers only; it learns
    from one-hot targets. It imports Keras itself, so that listing the presets does not load TensorFlow.
    """

    name: str
    summary: str
    params: P
    build: Callable[[P, Setup], Any]

    def parameters(self) -> dict[str, dict[str, Any]]:
        """Return each parameter's default, type, range, unit and meaning by name, ready for JSON."""
        values = self.params.as_dict() | {"seed": 0}
        return {name: {"default": values[name]} | spec.as_dict() for name, spec in self._allowed().items()}

    def plan(self, given: Mapping[str, object], pointer: str = "/params/") -> tuple[P, int]:
        """Return the hyperparameters with the given ones in place, and the seed, 0 where it is not given.

        Raises InvalidRequest with a Fault, at `pointer` and the field's name, for each value that is out of its range,
        which it names, and for each name that is no parameter of this preset.
        """
        allowed = self._allowed()
        unknown = [Fault(name, f"is no parameter of preset {self.name}") for name in given if name not in allowed]
        refuse([*unknown, *faults(allowed, given)], pointer)
        own: dict[str, Any] = {name: value for name, value in given.items() if name != "seed"}
        return replace(self.params, **own), SEED.checked(given.get("seed", 0))

    def _allowed(self) -> dict[str, Any]:
        return {**specs(type(self.params)), "seed": SEED}
