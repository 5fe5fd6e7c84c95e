"""Gradient steps, many in one call: between small ones, Python would take longer than the arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from worker import hardware
from worker.presets import Preset

#: Images that one call trains on, where a step has fewer: enough for Python not to count, and under half a second.
GROUP_IMAGES = 1024

#: Images in a part of a batch at least.
PART_IMAGES = 16

#: Takes the batches of a group of steps, images (steps, batch, height, width, channels) and one-hot targets (steps,
#: batch, classes), and gives the means of loss (nats) and accuracy over them, while the weights were changing.
Train = Callable[[Any, Any], tuple[float, float]]


def group_size(batch_size: int) -> int:
    """Return how many steps of so many images one call should take."""
    return max(1, GROUP_IMAGES // batch_size)


def parts(preset: Preset[Any], batch_size: int) -> int:
    """Return into how many parts of equal size a batch is cut, whose gradients are computed side by side.

    One core each is better than all cores for one operation where the operations are small. On two cores, a step of
    preset `seed` on 32 images took 5.2 ms in one part and 4.3 ms in two.
    """
    most = min(hardware.cores(), batch_size // PART_IMAGES) if preset.divisible and not hardware.may_have_gpu() else 1
    return next((count for count in range(most, 1, -1) if batch_size % count == 0), 1)


def share_cores(count: int) -> None:
    """Let TensorFlow compute so many parts side by side. After its first operation in this process it is too late.

    Then they are computed one after the other, which is slower and gives the same weights but for rounding.
    """
    if count > 1 and keras.backend.backend() == "tensorflow":
        import tensorflow as tf  # noqa: PLC0415 - JAX has no need of it

        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_inter_op_parallelism_threads(count)
            tf.config.threading.set_intra_op_parallelism_threads(hardware.cores() // count)


def trainer(model: Any, count: int = 1) -> Train:
    """Return what trains a compiled `model` on a group of batches, in their order, each of them in `count` parts."""
    return _in_graph(model, count) if keras.backend.backend() == "tensorflow" else _one_by_one(model)


def _in_graph(model: Any, count: int) -> Train:
    """One TensorFlow graph with a loop over the steps."""
    import tensorflow as tf  # noqa: PLC0415 - JAX has no need of it

    @tf.function(jit_compile=hardware.on_accelerator())  # type: ignore[untyped-decorator]
    def run(images: Any, targets: Any) -> Any:
        steps = tf.shape(images)[0]
        sums = tf.zeros(2)
        for step in tf.range(steps):
            sums += tf.stack(_step(model, tf.cast(images[step], tf.float32), targets[step], count))
        return sums / tf.cast(steps, tf.float32)

    def train(images: Any, targets: Any) -> tuple[float, float]:
        group = tf.constant(images), tf.constant(targets)
        any_length = [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in group]
        loss, accuracy = run.get_concrete_function(*any_length)(*group).numpy().tolist()
        return loss, accuracy

    return train


def _step(model: Any, images: Any, targets: Any, count: int) -> tuple[Any, Any]:
    """Take one gradient step; return loss and accuracy of its batch. Means of equal parts are the mean of the whole."""
    import tensorflow as tf  # noqa: PLC0415 - see above

    shares = zip(tf.split(images, count), tf.split(targets, count), strict=True)
    losses, accuracies, gradients = zip(*(_gradients(model, *share, count) for share in shares), strict=True)
    sums = [tf.add_n(each) for each in zip(*gradients, strict=True)]
    model.optimizer.apply(sums, model.trainable_variables)
    return tf.add_n(losses), tf.add_n(accuracies)


def _gradients(model: Any, images: Any, targets: Any, count: int) -> tuple[Any, Any, Any]:
    """Return what one of `count` parts adds to loss, accuracy and the gradients of the trainable variables."""
    import tensorflow as tf  # noqa: PLC0415 - see above

    with tf.GradientTape() as tape:
        logits = model(images, training=True)
        loss = model.loss(targets, logits) / count
    right = keras.ops.equal(keras.ops.argmax(logits, axis=-1), keras.ops.argmax(targets, axis=-1))
    accuracy = keras.ops.mean(keras.ops.cast(right, "float32")) / count
    return loss, accuracy, tape.gradient(loss, model.trainable_variables)


def _one_by_one(model: Any) -> Train:
    """Keras's own steps, on any of its backends."""

    def train(images: Any, targets: Any) -> tuple[float, float]:
        answers = [model.train_on_batch(*batch, return_dict=True) for batch in zip(images, targets, strict=True)]
        loss, accuracy = np.mean([(float(each["loss"]), float(each["accuracy"])) for each in answers], axis=0).tolist()
        return loss, accuracy

    return train
