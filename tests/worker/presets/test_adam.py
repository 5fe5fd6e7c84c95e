from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from worker.presets.adam import FusedAdam


def trained(optimizer: Any, gradients: NDArray[np.float32]) -> Any:
    """A variable that starts at zero, after a step along each of the gradients."""
    variable = keras.Variable(np.zeros(gradients.shape[1:], np.float32))
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return keras.ops.convert_to_numpy(variable)


def test_steps_are_those_of_keras() -> None:
    gradients = np.random.default_rng(3).normal(size=(20, 5, 4)).astype(np.float32)
    options = {"learning_rate": 0.01, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-4}
    ours, theirs = (trained(kind(**options), gradients) for kind in (FusedAdam, keras.optimizers.Adam))
    assert np.abs(theirs).min() > 1e-4
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
