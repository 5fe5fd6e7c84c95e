"""Adam whose step is one operation for each variable."""

from __future__ import annotations

from typing import Any

import keras


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras's Adam, in TensorFlow's own kernel where TensorFlow is the backend.

    Keras composes the step of about ten operations, each of which reads and writes all weights: with batches of 32, a
    tenth of a step's time on a processor. The result is the same but for rounding.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take one step of `variable`, the backend's own, along `gradient`, a tensor of its shape."""
        if keras.backend.backend() != "tensorflow":
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf  # noqa: PLC0415 - JAX has no need of it

        number = tf.cast(self.iterations + 1, tf.float32)
        place = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=self.beta_1**number,
            beta2_power=self.beta_2**number,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
