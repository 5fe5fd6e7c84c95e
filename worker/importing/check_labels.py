"""The labels of an imported network, compared with its outputs."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.errors import InvalidRequest
from shared.training.datasets import CIFAR10_LABELS


def check_labels(count: int, given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the given labels for `count` outputs, or CIFAR-10's if none are given and there are ten.

    Raises InvalidRequest unless there is one label for each output, or there are two for one output.
    """
    if count == 1 and (given is None or len(given) != 2):
        raise InvalidRequest(
            "labels: the network has one output, the score of one of two classes: send two labels, first that of the "
            "value 0, then that of the value 1 (Keras numbers folders in alphabetical order)"
        )
    if given is None and count != len(CIFAR10_LABELS):
        raise InvalidRequest(f"labels: the network has {count} outputs: send the labels that they stand for")
    labels = tuple(CIFAR10_LABELS if given is None else given)
    if len(labels) != count and count > 1:
        raise InvalidRequest(f"labels: the network has {count} outputs, but there are {len(labels)} labels")
    return labels
