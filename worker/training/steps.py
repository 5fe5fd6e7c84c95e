"""Gradient steps, many in one call: a call costs Python more time than a small step costs arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from worker import hardware

#: Pixels of the images per call, if a step has fewer: 1,024 images of CIFAR-10. Enough to hide Python's overhead, and
#: less than half a second of work.
GROUP_PIXELS = 1024 * 32 * 32

#: Trains on a group of batches, images (steps, batch, height, width, channels) and one-hot targets (steps, batch,
#: classes), and returns the mean loss (nats) and the mean accuracy, taken while the weights change.
Train = Callable[[Any, Any], tuple[float, float]]


def group_size(batch_size: int, pixels: int) -> int:
    """Return the number of steps per call for batches of `batch_size` images of so many pixels each."""
    return max(1, GROUP_PIXELS // (batch_size * pixels))


def trainer(model: Any) -> Train:
    """Return the function that trains a compiled `model` on a group of batches, in order, within one graph."""

    def step(images: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(tf.cast(images, tf.float32), training=True)
            loss = model.loss(targets, logits)
        model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        right = tf.equal(tf.argmax(logits, axis=-1), tf.argmax(targets, axis=-1))
        return tf.stack([loss, tf.reduce_mean(tf.cast(right, tf.float32))])

    # Without autograph, which would first translate every function that is called here: a second per process.
    @tf.function(autograph=False, jit_compile=hardware.on_accelerator())  # type: ignore[untyped-decorator]
    def run(images: Any, targets: Any) -> Any:
        steps = tf.shape(images)[0]
        _, sums = tf.while_loop(
            lambda index, _: index < steps,
            lambda index, sums: (index + 1, sums + step(images[index], targets[index])),
            (0, tf.zeros(2)),
        )
        return sums / tf.cast(steps, tf.float32)

    def train(images: Any, targets: Any) -> tuple[float, float]:
        group = tf.constant(images), tf.constant(targets)
        any_length = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in group]
        loss, accuracy = run.get_concrete_function(*any_length)(*group).numpy().tolist()
        return loss, accuracy

    return train
