"""Gradient steps, many in one call: between small ones, Python would take longer than the arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from worker import hardware

#: Images that one call trains on, where a step has fewer: enough for Python not to count, and under half a second.
GROUP_IMAGES = 1024

#: Takes the batches of a group of steps, images (steps, batch, height, width, channels) and one-hot targets (steps,
#: batch, classes), and gives the means of loss (nats) and accuracy over them, while the weights were changing.
Train = Callable[[Any, Any], tuple[float, float]]


def group_size(batch_size: int) -> int:
    """Return how many steps of so many images one call should take."""
    return max(1, GROUP_IMAGES // batch_size)


def trainer(model: Any) -> Train:
    """Return what trains a compiled `model` on a group of batches, in their order."""
    return _in_graph(model) if keras.backend.backend() == "tensorflow" else _one_by_one(model)


def _in_graph(model: Any) -> Train:
    """One TensorFlow graph with a loop over the steps."""
    import tensorflow as tf  # noqa: PLC0415 - JAX has no need of it

    @tf.function(jit_compile=hardware.on_accelerator(), reduce_retracing=True)  # type: ignore[untyped-decorator]
    def run(images: Any, targets: Any) -> Any:
        steps = tf.shape(images)[0]
        sums = tf.zeros(2)
        for step in tf.range(steps):
            sums += tf.stack(_step(model, tf.cast(images[step], tf.float32), targets[step]))
        return sums / tf.cast(steps, tf.float32)

    def train(images: Any, targets: Any) -> tuple[float, float]:
        loss, accuracy = run(tf.constant(images), tf.constant(targets)).numpy().tolist()
        return loss, accuracy

    return train


def _step(model: Any, images: Any, targets: Any) -> tuple[Any, Any]:
    """Take one gradient step; return loss and accuracy of its batch."""
    import tensorflow as tf  # noqa: PLC0415 - see above

    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = model.loss(targets, logits)
    variables = model.trainable_variables
    model.optimizer.apply(tape.gradient(loss, variables), variables)
    right = keras.ops.equal(keras.ops.argmax(logits, axis=-1), keras.ops.argmax(targets, axis=-1))
    return loss, keras.ops.mean(keras.ops.cast(right, "float32"))


def _one_by_one(model: Any) -> Train:
    """Keras's own steps, on any of its backends."""

    def train(images: Any, targets: Any) -> tuple[float, float]:
        answers = [model.train_on_batch(*batch, return_dict=True) for batch in zip(images, targets, strict=True)]
        loss, accuracy = np.mean([(float(each["loss"]), float(each["accuracy"])) for each in answers], axis=0).tolist()
        return loss, accuracy

    return train
