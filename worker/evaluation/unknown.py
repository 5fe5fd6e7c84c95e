"""Command that prints the rule for unknown pictures of a version that was trained on CIFAR-10, for its card.

`python -m worker.evaluation.unknown VERSION`: the least score that 95 % of the validation images reach.
"""

from __future__ import annotations

import sys

from shared.models.registry import Registry
from worker import hardware
from worker.data.datasets import load_cifar10
from worker.evaluation.evaluate import predict_served
from worker.evaluation.measurements import unknown_by_score
from worker.serving.models import ModelCache

if __name__ == "__main__":
    network = ModelCache(Registry(), hardware.cores()).get(sys.argv[1]).forward
    images = load_cifar10()
    print(unknown_by_score(predict_served(network, images.x_val), predict_served(network, images.x_test)).model_dump())
