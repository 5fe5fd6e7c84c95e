"""Preset `finetune`: a pretrained Backbone whose last layers learn on, with the classes of a Dataset."""

from __future__ import annotations

from typing import Any

from shared.domain.preprocessing import Preprocessing
from shared.training.presets import FinetuneParams
from worker.presets.base import Setup, compiled
from worker.serving.forward import EMBEDDING
from worker.serving.preprocess import preprocess

#: Share of the step size at which the first epoch begins.
FIRST_RATE = 0.1


def build(params: FinetuneParams, setup: Setup) -> Any:
    """Return the compiled network, whose last layer answers as `setup.start` does; see `Preset`."""
    import keras  # noqa: PLC0415 - listing the presets must not load TensorFlow

    if setup.start is None:
        raise ValueError("finetune needs a network to start from")
    keras.utils.set_random_seed(setup.seed)
    backbone = keras.saving.load_model(setup.start.backbone, compile=False, safe_mode=True)
    _freeze(backbone, params.frozen)
    last = keras.layers.Dense(setup.classes, name="logits")
    network = keras.Model(backbone.inputs[0], last(backbone.get_layer(EMBEDDING).output), name="finetune")
    last.set_weights([setup.start.weights, setup.start.bias])
    network = preprocessed(network, setup.start.preprocessing)
    steps = setup.steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        FIRST_RATE * params.learning_rate,
        max(1, (params.epochs - 1) * steps),
        warmup_target=params.learning_rate,
        warmup_steps=steps,
    )
    optimizer = keras.optimizers.AdamW(schedule, params.weight_decay, global_clipnorm=1)
    return compiled(network, optimizer, params)


def preprocessed(network: Any, how: Preprocessing) -> Any:
    """Return the network for pictures with values from 0 to 255; `core` is the inverse."""
    import keras  # noqa: PLC0415 - see above

    if how == Preprocessing():
        return network
    pictures = keras.Input(network.input_shape[1:])
    return keras.Model(pictures, network(preprocess(pictures, how)), name=network.name)


def core(network: Any) -> Any:
    """Return the network without its preprocessing, which stays on its card."""
    import keras  # noqa: PLC0415 - see above

    inner = network.layers[-1]
    return inner if isinstance(inner, keras.Model) else network


def has_norms(network: Any) -> bool:
    """Return whether batch normalisation is a layer of the network."""
    return any(map(_is_norm, network.layers))


def _is_norm(layer: Any) -> bool:
    import keras  # noqa: PLC0415 - see above

    return isinstance(layer, keras.layers.BatchNormalization)


def _freeze(network: Any, share: float) -> None:
    """Keep the weights of the first layers, and batch normalisation as it was trained: batches here are small."""
    learning = [layer for layer in network.layers if layer.weights]
    for place, layer in enumerate(learning):
        layer.trainable = place >= round(share * len(learning)) and not _is_norm(layer)
