"""What a preset is: a network, the hyperparameters that train it, and what values these may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from shared.training.param_schema import Choice, Flag, Integer, Number, Parameter, faults, filled, refuse, specs
from worker.hardware import on_accelerator
from worker.presets.work import Layer

#: Ways to mirror the training images; see `worker.data.augment`.
FLIPS = ("none", "random", "alternate")

Epochs = Annotated[int, Integer("passes over the training images", 1, 1000)]
BatchSize = Annotated[int, Integer("images per gradient step", 1, 10_000, "images")]
LearningRate = Annotated[float, Number("the optimizer's step size at its greatest", 1e-6, 10)]
Augment = Annotated[bool, Flag("whether the training images are varied as the preset says")]
Smoothing = Annotated[float, Number("probability in the target that is spread evenly over all labels", 0, 0.9)]
Patience = Annotated[
    int, Integer("epochs without a better validation accuracy that end the training; 0: never", 0, 1000)
]
Flip = Annotated[str, Choice("mirror images: by chance, or by chance once and then in turns", FLIPS)]
Translate = Annotated[int, Integer("greatest shift along each axis, the edge mirrored", 0, 8, "pixels")]
Brightness = Annotated[float, Number("greatest shift of all values, as a share of the value range", 0, 0.5)]
Contrast = Annotated[float, Number("greatest stretch of the values, as a share of 1", 0, 0.5)]
Precision = Annotated[
    str,
    Choice("arithmetic of the layers; auto: bfloat16 where the hardware has it", ("auto", "float32", "bfloat16")),
]

#: What every random draw follows from. It fits into 32 bits, as NumPy, TensorFlow and Keras all take it.
SEED = Integer("the same seed gives the same weights on the same machine", 0, 2**32 - 1)


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

    # None: where the step size falls to zero, the last epochs are the best.
    patience: Patience = 0

    # As likely one way as the other.
    flip: Flip = "random"

    # More hides objects at the edge.
    translate: Translate = 2

    # None: networks this small, trained this short, do not learn their images by heart.
    brightness: Brightness = 0.0

    # None, for the same reason.
    contrast: Contrast = 0.0

    # Twice as fast, but only where the hardware is made for it.
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        allowed = specs(type(self))
        refuse(faults(allowed, vars(self), "this preset"))
        for name, spec in allowed.items():
            object.__setattr__(self, name, spec.checked(getattr(self, name)))

    def changed(self, **changes: Any) -> Params:
        """Return a copy with the given fields; one that is None keeps its value."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        """Return every hyperparameter by name, as a model's card records them."""
        return asdict(self)


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

    `work` describes the layers that `build` makes for CIFAR-10. `efficiency` is the share of the speed of small matrix
    products that training with the default hyperparameters reached on the two cores where it was tried. `divisible`:
    no layer looks at the other images of the batch, as normalisation does, or draws by chance, as dropout does, so that
    the mean of the gradients of its parts is that of the whole.
    """

    name: str
    summary: str
    params: P
    build: Callable[[P, Setup], Any]
    work: Callable[[P], Iterable[Layer]]
    efficiency: float
    divisible: bool = False

    def parameters(self) -> dict[str, Parameter]:
        """Return each parameter of a training with this preset by name: its hyperparameters, then the seed."""
        values = self.params.as_dict()
        own = {name: Parameter(values[name], spec) for name, spec in specs(type(self.params)).items()}
        return {**own, "seed": Parameter(0, SEED)}

    def plan(self, given: Mapping[str, object], pointer: str = "/params/") -> tuple[P, int]:
        """Return the hyperparameters with the given ones in place, and the seed, 0 where it is not given.

        Raises InvalidRequest with a Fault, at `pointer` and the field's name, for each value that is out of its range,
        which it names, and for each name that is no parameter of this preset.
        """
        parameters = self.parameters()
        refuse(faults(parameters, given, f"preset {self.name}"), pointer)
        values = filled(parameters, given)
        seed: int = values.pop("seed")
        return replace(self.params, **values), seed

    def size(self, params: P) -> int:
        """Return how many weights and biases the network has, trainable or not."""
        return sum(layer.size for layer in self.work(params))

    def flops(self, params: P) -> int:
        """Return how many floating-point operations one image takes, forward."""
        return sum(layer.flops for layer in self.work(params))
