"""Inference with Keras, as one compiled TensorFlow graph: on a GPU, and for models that OpenVINO cannot express."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.serving.forward import ModelUnusable, Network


def load(file: Path, threads: int) -> Network:
    """Return the network in a `.keras` file, running on `threads` cores. Raise ModelUnusable."""
    import keras  # noqa: PLC0415  # TensorFlow may be loaded only after the fork
    import tensorflow as tf  # noqa: PLC0415

    _set_threads(tf, threads)
    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:  # Keras's own errors, and those of the ZIP and HDF5 readers
        raise ModelUnusable(f"Keras cannot load {file.parent.name}/{file.name}: {error}") from error
    return compiled(model)


def compiled(model: Any) -> Network:
    """Return a Keras model of images (height, width, channels) as a network, for any batch size."""
    run = graph(model)

    def network(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = run(images).numpy()
        return scores

    return network


def graph(model: Any) -> Any:
    """Return one TensorFlow function from uint8 (n, height, width, channels) to float32 (n, labels), for any n."""
    import tensorflow as tf  # noqa: PLC0415  # see above

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.uint8)], autograph=False)  # type: ignore[untyped-decorator]
    def run(images: Any) -> Any:
        return tf.cast(model(tf.cast(images, tf.float32), training=False), tf.float32)

    return run


def _set_threads(tf: Any, threads: int) -> None:
    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
