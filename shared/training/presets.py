"""The presets that a model can be trained with: their parameters, defaults and allowed values.

The web process checks a request with these models. The process that trains checks the job's record with them, since it
may run another version of the code. `worker/presets/` builds the networks.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from shared.domain.classifier import EVERYDAY
from shared.training.datasets import CIFAR10

PresetName = Literal["seed", "classic", "fast", "wide", "distil", "head", "finetune"]

#: The preset of a training that names none: on CIFAR-10, and on a dataset of an owner.
DEFAULT_PRESET: PresetName = "fast"
HEAD: PresetName = "head"
FINETUNE: PresetName = "finetune"
#: The parameters that mean the same for every preset.
COMMON = ("dataset", "promote", "base")
#: The form of a model version's name.
VERSION_PATTERN = "^[a-z0-9_-]{1,100}$"


def between(minimum: float, maximum: float, description: str, unit: str | None = None) -> Any:
    """Return the pydantic field of a number in this range, both ends included."""
    return Field(ge=minimum, le=maximum, description=description, json_schema_extra={"unit": unit})


Dataset = Annotated[
    str,
    Field(
        pattern=r"^([a-z0-9-]{1,64}|cifar10\+corrections)$",
        description="training images: cifar10, cifar10+corrections (with the pictures that you have corrected), or the "
        "name of a dataset of yours",
    ),
]
Promote = Annotated[
    Literal["never", "if_better", "always"],
    Field(
        description="whether the new version becomes the champion; if_better: only if it beats the champion beyond "
        "chance on the test images and recognises no label much worse, or if there is no champion yet"
    ),
]
Base = Annotated[
    Annotated[str, Field(pattern=VERSION_PATTERN)] | None,
    Field(description="version, of the same preset and size, whose weights to start from"),
    WithJsonSchema({"type": ["string", "null"], "pattern": VERSION_PATTERN}),
]
Backbone = Annotated[
    str,
    Field(
        pattern=VERSION_PATTERN,
        description="pretrained network to start from: everyday, which ships with Darkroom, another one that was made "
        "here, such as lite2, or a version of one",
    ),
]
Epochs = Annotated[int, between(1, 1000, "passes over the training images")]
BatchSize = Annotated[int, between(1, 10_000, "images per gradient step", "images")]
LearningRate = Annotated[float, between(1e-6, 10, "peak step size of the optimizer")]
Augment = Annotated[bool, Field(description="whether the training images are varied as the preset says")]
Smoothing = Annotated[float, between(0, 0.9, "probability in the target that is spread evenly over all labels")]
Patience = Annotated[
    int, between(0, 1000, "epochs without a better validation accuracy after which training ends; 0: never")
]
Flip = Annotated[
    Literal["none", "random", "alternate"],
    Field(description="mirror images: at random, or at random once and then in every other epoch"),
]
Translate = Annotated[int, between(0, 8, "largest shift along each axis; the edge is mirrored", "pixels")]
Brightness = Annotated[float, between(0, 0.5, "largest shift of all values, as a share of the value range")]
Contrast = Annotated[float, between(0, 0.5, "largest stretch of the values, as a share of 1")]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    Field(description="arithmetic of the layers; auto: bfloat16 if the hardware supports it"),
]
# 32 bits: NumPy, TensorFlow and Keras all accept these.
RandomSeed = Annotated[int, between(0, 2**32 - 1, "the same seed gives the same weights on the same machine")]
Width = Annotated[int, between(4, 2048, "filters of each convolution of the block")]
Rate = Annotated[float, between(1e-6, 10, "peak step size of SGD, for the loss summed over the batch")]
Momentum = Annotated[float, between(0, 0.999, "share of the last step's direction that is kept")]
NormMomentum = Annotated[float, between(0, 0.999, "of the running statistics of batch normalisation")]


class Params(BaseModel):
    """The parameters of every training. Each preset is a subclass with its own defaults and further parameters."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    #: What the preset is, in one line.
    summary: ClassVar[str]
    #: Weights and biases of the network with the default parameters; None if that depends on the dataset.
    weights: ClassVar[int | None] = None

    preset: PresetName
    dataset: Dataset
    promote: Promote = "never"
    base: Base = None
    seed: RandomSeed = 0

    @field_validator("*", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> Any:
        """Accept 8.0 as 8: JSON does not tell them apart."""
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def hyperparameters(self) -> dict[str, Any]:
        """Return the parameters of network and optimizer, as a model's card records them."""
        return self.model_dump(exclude={"preset", "seed", *COMMON})


class HeadParams(Params):
    """The parameters of `head`, which finds its other parameters by cross-validation."""

    summary = "A linear head on the pretrained network: your own classes, in seconds"

    preset: PresetName = "head"

    # Larger ones are slower, see docs/own-classes.md.
    backbone: Backbone = EVERYDAY.name

    # A first version has nothing to be compared with, and serves.
    promote: Promote = "if_better"


class TrainingParams(Params):
    """The parameters of a network that learns in epochs."""

    dataset: Dataset = CIFAR10

    epochs: Epochs
    batch_size: BatchSize
    learning_rate: LearningRate
    augment: Augment
    label_smoothing: Smoothing

    # Off: with a step size that falls to zero, the last epochs are the best.
    patience: Patience = 0

    # Either side is equally likely.
    flip: Flip = "random"

    # More hides objects at the edge.
    translate: Translate = 2

    # Off: networks this small, trained this briefly, do not overfit.
    brightness: Brightness = 0.0

    # Off, for the same reason.
    contrast: Contrast = 0.0

    # Twice as fast, but only on hardware that is made for it.
    precision: Precision = "auto"


class FinetuneParams(TrainingParams):
    """The parameters of `finetune`. It starts from what `head` finds, and publishes that if it does not get better."""

    summary = "The pretrained network learns your classes as well as its head, in minutes to hours"
    weights = None

    preset: PresetName = "finetune"

    # Only a dataset of an owner has a head to start from.
    dataset: Dataset

    # As for `head`.
    backbone: Backbone = EVERYDAY.name

    # As for `head`.
    promote: Promote = "if_better"

    # The step size rises in the first and falls to zero over the others.
    epochs: Epochs = 15

    # Without batch normalisation, a small batch does no harm.
    batch_size: BatchSize = 32

    # Of AdamW: larger steps destroy what the network knows. After an epoch with 3e-4, new scenes fell from 77 to 65 %.
    learning_rate: LearningRate = 1e-4

    # Mirror images, crops and light.
    augment: Augment = True

    # Off: the Head is sure of its answers, so the first steps would change the network just to make it less sure.
    label_smoothing: Smoothing = 0.0

    # More epochs than that have never brought anything.
    patience: Patience = 5

    # Crops move the picture.
    translate: Translate = 0

    brightness: Brightness = 0.1
    contrast: Contrast = 0.2

    # Convolutions for each channel took twice the processor time in bfloat16, with AMX.
    precision: Annotated[Literal["float32"], Field(description="arithmetic of the layers")] = "float32"

    # Half of the picture still shows what it is.
    crop: Annotated[float, between(0.1, 1, "smallest share of the picture that a crop keeps")] = 0.5

    # Before the network learns. Each takes a quarter of an epoch; more of them bring less and less.
    views: Annotated[
        int, between(0, 20, "varied views of each picture that the head learns from, if the images are varied", "views")
    ] = 5

    # The first blocks take 40 % of the time of a step, and see edges and colours, which are the same everywhere.
    frozen: Annotated[float, between(0, 1, "share of the layers, the first ones, that do not learn")] = 0.3

    # Of AdamW.
    weight_decay: Annotated[float, between(0, 1, "pull of the weights towards zero, per step and step size")] = 0.01


class SeedParams(TrainingParams):
    """The parameters of `seed`."""

    summary = "Two convolutions, two dense layers: small, trained in minutes on two cores"
    weights = 167_562

    preset: PresetName = "seed"

    # As long as the network that it is compared with was trained.
    epochs: Epochs = 8

    # After 8 epochs, on 2,000 validation images, with two seeds each on two cores: 32 gave 68.2 % and 68.5 % (151 and
    # 131 s), 64 gave 65.1 % and 66.6 % (128 and 145 s), 128 gave 66.4 % and 66.0 % (86 and 124 s; the cores were
    # shared, so the times are rough).
    batch_size: BatchSize = 32

    # Of Adam, constant; Keras's default.
    learning_rate: LearningRate = 1e-3

    # Off: the network is too small to overfit in so few epochs.
    augment: Augment = False

    # Off, for the same reason.
    label_smoothing: Smoothing = 0.0

    # Batches this small gain nothing from bfloat16.
    precision: Precision = "float32"

    # Enough for edges and colours.
    first_filters: Annotated[int, between(1, 1024, "filters of the first convolution")] = 32

    # Twice as many, at a quarter of the positions.
    second_filters: Annotated[int, between(1, 1024, "filters of the second convolution")] = 64

    # The smallest with a centre and all its neighbours.
    kernel_size: Annotated[int, between(1, 5, "side of each square filter", "pixels")] = 3

    # Halves the image each time.
    pool_size: Annotated[int, between(1, 3, "side of the square whose greatest value pooling keeps", "pixels")] = 2

    # Most of the weights lead to these.
    hidden_units: Annotated[int, between(1, 4096, "units of the hidden dense layer")] = 64


class ClassicParams(TrainingParams):
    """The parameters of `classic`."""

    summary = "Six convolutions with batch normalisation, dropout and augmentation: the textbook recipe"
    weights = 289_642

    preset: PresetName = "classic"

    # The step size falls to zero over them, so fewer of them still end well.
    epochs: Epochs = 20

    # Large enough for steady statistics of batch normalisation.
    batch_size: BatchSize = 128

    # Of AdamW; falls to zero along a cosine.
    learning_rate: LearningRate = 2e-3

    # Mirror images and shifts: dropout alone does not keep the network from overfitting.
    augment: Augment = True

    # A little: the labels of CIFAR-10 are nearly all right.
    label_smoothing: Smoothing = 0.05

    # Filters double when the image halves: 32, 64 and 128.
    width: Annotated[int, between(4, 512, "filters of the first two convolutions")] = 32

    # Of the values after the first block; each block after it drops this much more.
    dropout: Annotated[float, between(0, 0.3, "share of values dropped after the first block")] = 0.1

    # Of AdamW, on kernels and biases alike.
    weight_decay: Annotated[float, between(0, 1, "pull of the weights towards zero, per step and step size")] = 5e-3

    # Keras's default, 0.99, lags behind weights that change fast.
    momentum: NormMomentum = 0.9


class FastParams(TrainingParams):
    """The parameters of `fast`: those that the search of hiverge/cifar10-speedrun found, unless a comment disagrees."""

    summary = "Six convolutions that learn in few, large steps: the highest accuracy in eight epochs"
    weights = 3_077_912

    preset: PresetName = "fast"

    # The step size falls linearly to zero over them.
    epochs: Epochs = 8

    # Muon wants few large steps.
    batch_size: BatchSize = 1536

    # Of Muon, for filters that are kept at norm √(number of filters).
    learning_rate: LearningRate = 0.205

    # Mirrored in every other epoch, and shifted.
    augment: Augment = True

    # Confidence is corrected after the training, by a temperature.
    label_smoothing: Smoothing = 0.09

    # Each image is seen both ways equally often, which chance alone would not do in eight epochs (arXiv:2404.00498,
    # section 3.6).
    flip: Flip = "alternate"

    brightness: Brightness = 0.035
    contrast: Contrast = 0.13

    # On 31 × 31 positions. The source has 64.
    width1: Width = 80

    # On 15 × 15 positions. The source has 256.
    width2: Width = 320

    # On 7 × 7 positions. The source has 256.
    width3: Width = 320

    # Of Muon, Nesterov's.
    momentum: Momentum = 0.655

    # Of Muon: more of them cost time and gain nothing.
    newton_schulz_steps: Annotated[int, between(1, 10, "iterations that orthogonalise a filter's step")] = 3

    # Of the biases in batch normalisation and in the whitening layer.
    bias_learning_rate: Rate = 0.0573

    # Of the last, dense layer, whose outputs are divided by the number of its inputs.
    head_learning_rate: Rate = 0.5415

    # Of SGD, Nesterov's.
    sgd_momentum: Momentum = 0.825

    # Times the batch size: 0.0016 per step of 1,536 images, on biases and the head.
    weight_decay: Annotated[float, between(0, 0.1, "share of a weight that SGD takes off per image")] = 1.0418e-6

    # The whitening layer's bias is trained in the first of them, with a step size that falls to zero.
    whitening_epochs: Annotated[int, between(1, 1000, "epochs in which the first layer's bias is trained")] = 1

    # Running statistics must follow weights that change fast.
    norm_momentum: NormMomentum = 0.5566

    # Learns as well as GELU, and is cheaper.
    activation: Annotated[Literal["gelu", "silu", "relu"], Field(description="what follows every normalisation")] = (
        "silu"
    )


class WideParams(FastParams):
    """The parameters of `wide`, a `fast` with more filters and twice the epochs.

    The widths are those of `airbench95.py` in KellerJordan/cifar10-airbench, which reaches 95.0 % with six views in the
    mean of 200 runs of 15 epochs with SGD.
    """

    summary = "The network of preset fast, wider and for twice the epochs: three times the work"
    weights = 4_608_312

    preset: PresetName = "wide"

    # More filters overfit sooner, but alternating mirror images keep 16 epochs fresh.
    epochs: Epochs = 16

    # Twice those of the network that `fast` is made from.
    width1: Width = 128

    # Half as many again as that.
    width2: Width = 384

    # Half as many again as that.
    width3: Width = 384


class DistilParams(FastParams):
    """The parameters of `distil`, a smaller `fast` that learns what another version answers."""

    summary = "A small, quick network learns the answers of a bigger one: most of its accuracy at a third of its cost"
    weights = 1_024_408

    preset: PresetName = "distil"

    teacher: Annotated[
        Annotated[str, Field(pattern=VERSION_PATTERN)] | None,
        Field(description="version whose answers are learnt; by default the one that serves now"),
        WithJsonSchema({"type": ["string", "null"], "pattern": VERSION_PATTERN}),
    ] = None

    # The teacher is nearly certain of its training images.
    softness: Annotated[float, between(1, 20, "divisor of the teacher's logits")] = 2.0

    # Off: the answers are soft already.
    label_smoothing: Smoothing = 0.0

    # A small network needs more passes.
    epochs: Epochs = 50

    # Half as many filters as `fast` and fewer: a third of its multiplications.
    width1: Width = 48
    width2: Width = 160
    width3: Width = 208


#: The models of the parameters by preset.
PARAMS: dict[str, type[Params]] = {
    "seed": SeedParams,
    "classic": ClassicParams,
    "fast": FastParams,
    "wide": WideParams,
    "distil": DistilParams,
    "head": HeadParams,
    "finetune": FinetuneParams,
}
