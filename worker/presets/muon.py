"""The Muon optimizer for convolutional networks: orthogonal steps for filters, SGD for everything else.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
(https://kellerjordan.github.io/posts/muon/), and the CIFAR-10 variant in KellerJordan/cifar10-airbench.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
from keras import ops

#: Coefficients of X ← aX + (bXXᵀ + c(XXᵀ)²)X, chosen for the steepest slope at zero. Singular values end between
#: about 0.7 and 1.2 instead of at 1, which does no harm.
QUINTIC = (3.4445, -4.7750, 2.0315)

#: Avoids a division by zero for a gradient of zeros.
TINY = 1e-7


@dataclass(frozen=True)
class Group:
    """Variables whose path contains `part`, trained by SGD with Nesterov momentum.

    `learning_rate` is the peak step size, for gradients of the batch's summed loss, `batch_size` times its mean. It
    falls in proportion to the optimizer's own, or linearly to zero within `steps`, if given. `weight_decay` is the
    share of a weight that a step takes off at the peak learning rate.
    """

    part: str
    learning_rate: float
    momentum: float
    weight_decay: float = 0.0
    steps: int | None = None


def orthogonal(matrix: Any, steps: int) -> Any:
    """Return a matrix (rows, columns) near the closest one with orthonormal rows or columns, whichever are fewer.

    `steps` Newton–Schulz iterations bring its singular values, first scaled below 1, towards 1.
    """
    a, b, c = QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / (ops.norm(x) + TINY)
    for _ in range(steps):
        gram = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return ops.transpose(x) if tall else x


class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Muon for 4-D kernels (height, width, in, out) that no group names, SGD for the variables of `groups`.

    A step on a kernel scales it to norm √out, then moves it by the learning rate along the orthogonalised Nesterov
    momentum of its gradient, reshaped to (height·width·in, out). `build` raises ValueError for any other variable.
    `learning_rate` must be a schedule or a float; `batch_size` turns the mean loss's gradients into sums.
    """

    def __init__(
        self,
        learning_rate: Any = 0.24,
        momentum: float = 0.6,
        steps: int = 3,
        *,
        groups: Sequence[Group] = (),
        batch_size: int = 1,
        name: str = "muon",
        **options: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **options)
        self.momentum, self.steps, self.batch_size = momentum, steps, batch_size
        self.groups = tuple(Group(**group) if isinstance(group, dict) else group for group in groups)

    def build(self, variables: Sequence[Any]) -> None:
        """Create one momentum per variable."""
        if self.built:
            return
        super().build(variables)
        self._group_of = [self._find(variable) for variable in variables]
        self.momenta = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take one step of `variable`, and update its momentum."""
        index = self._get_variable_index(variable)
        gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        group, momentum = self._group_of[index], self.momenta[index]
        if group is None:
            self._muon_step(gradient, variable, momentum, rate)
        else:
            self._sgd_step(gradient, variable, momentum, group, self._rate(group, rate))

    def _muon_step(self, gradient: Any, kernel: Any, momentum: Any, rate: Any) -> None:
        self.assign(momentum, self.momentum * momentum + gradient)
        ahead = gradient + self.momentum * momentum
        outputs = kernel.shape[-1]
        update = ops.reshape(orthogonal(ops.reshape(ahead, (-1, outputs)), self.steps), kernel.shape)
        scale = outputs**0.5 / (ops.norm(ops.reshape(kernel, (-1,))) + TINY)
        self.assign(kernel, kernel * scale - rate * update)

    def _sgd_step(self, gradient: Any, variable: Any, momentum: Any, group: Group, rate: Any) -> None:
        pull = group.weight_decay / group.learning_rate
        gradient = gradient * self.batch_size + pull * variable
        self.assign(momentum, group.momentum * momentum + gradient)
        self.assign_sub(variable, rate * (gradient + group.momentum * momentum))

    def _rate(self, group: Group, rate: Any) -> Any:
        """Return the group's step size now, from its peak and the optimizer's `rate` or its own steps."""
        if group.steps is None:
            return rate * (group.learning_rate / self._peak_rate())
        left = 1 - ops.cast(self.iterations, rate.dtype) / group.steps
        return group.learning_rate * ops.maximum(left, 0)

    def _peak_rate(self) -> float:
        schedule = self._learning_rate
        peak: Any = getattr(schedule, "initial_learning_rate", schedule)
        return float(peak)

    def _find(self, variable: Any) -> Group | None:
        for group in self.groups:
            if group.part in variable.path:
                return group
        if len(variable.shape) != 4:
            raise ValueError(f"{variable.path} is not a convolution's kernel, and no group names it")
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that `from_config` expects."""
        config: dict[str, Any] = super().get_config()
        groups = [asdict(group) for group in self.groups]
        own = {"momentum": self.momentum, "steps": self.steps, "batch_size": self.batch_size, "groups": groups}
        return config | own
