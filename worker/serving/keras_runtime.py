"""Inference with Keras, as one compiled TensorFlow graph: on a GPU, and for models that OpenVINO cannot express."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.domain.preprocessing import Preprocessing
from worker.serving.forward import EMBEDDING, PROBABILITIES, ModelUnusable, Network
from worker.serving.network import LoadedNetwork
from worker.serving.preprocess import preprocess

#: For networks that take values from 0 to 255, as those that are trained here.
NONE = Preprocessing()


def load(file: Path, threads: int, preprocessing: Preprocessing = NONE) -> Network:
    """Return the network in a `.keras` file, on `threads` cores, with its preprocessing. Raise ModelUnusable."""
    return compiled(_load(file, threads), preprocessing)


def load_network(file: Path, threads: int, preprocessing: Preprocessing = NONE) -> LoadedNetwork:
    """Return what `load` returns, without what it pools."""
    network = load(file, threads, preprocessing)
    return LoadedNetwork(lambda images: {PROBABILITIES: network(images)})


def load_backbone(file: Path, threads: int, preprocessing: Preprocessing = NONE) -> LoadedNetwork:
    """Return the network of a Backbone with its outputs, on `threads` cores, with its preprocessing.

    What it pools is there if its Embedding is a mean of that. Raise ModelUnusable.
    """
    import keras  # noqa: PLC0415  # see `_load`

    model = _load(file, threads)
    end, last, run = model.get_layer(EMBEDDING), model.get_layer(PROBABILITIES), graph(model, EMBEDDING, preprocessing)

    def answer(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        return {name: output.numpy() for name, output in run(images).items()}

    if not isinstance(end, keras.layers.GlobalAveragePooling2D):
        return LoadedNetwork(answer)
    pooled = graph(keras.Model(model.inputs, end.input), preprocessing=preprocessing)
    return LoadedNetwork(
        answer,
        lambda images: pooled(images)[PROBABILITIES].numpy(),  # the name of an only output
        last.get_weights()[0],
    )


def _load(file: Path, threads: int) -> Any:
    import keras  # noqa: PLC0415  # TensorFlow may be loaded only after the fork
    import tensorflow as tf  # noqa: PLC0415

    _set_threads(tf, threads)
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras's own errors, and those of the ZIP and HDF5 readers
        raise ModelUnusable(f"Keras cannot load {file.parent.name}/{file.name}: {error}") from error


def compiled(model: Any, preprocessing: Preprocessing = NONE) -> Network:
    """Return a Keras model of images (height, width, channels) as a network, for any batch size."""
    run = graph(model, preprocessing=preprocessing)

    def network(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = run(images)[PROBABILITIES].numpy()
        return scores

    return network


def graph(model: Any, embedding: str | None = None, preprocessing: Preprocessing = NONE) -> Any:
    """Return one TensorFlow function from uint8 (n, height, width, channels) to the outputs by name, for any n.

    With the name of a layer as `embedding`, its output is one of them.
    """
    import keras  # noqa: PLC0415  # see above
    import tensorflow as tf  # noqa: PLC0415

    names = [PROBABILITIES, EMBEDDING] if embedding else [PROBABILITIES]
    outputs = keras.Model(model.inputs, [*model.outputs, model.get_layer(embedding).output]) if embedding else model

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.uint8)], autograph=False)  # type: ignore[untyped-decorator]
    def run(images: Any) -> Any:
        values = outputs(preprocess(tf.cast(images, tf.float32), preprocessing), training=False)
        return {name: tf.cast(value, tf.float32) for name, value in zip(names, tf.nest.flatten(values), strict=True)}

    return run


def frozen(function: Any) -> Any:
    """Return a concrete TensorFlow function with constants in place of its variables.

    Converters lose variables: LiteRT's makes zeros of them, and OpenVINO misses some in a SavedModel.
    """
    from tensorflow.python.framework import convert_to_constants  # noqa: PLC0415  # TensorFlow's only way to freeze

    return convert_to_constants.convert_variables_to_constants_v2(function)


def _set_threads(tf: Any, threads: int) -> None:
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
