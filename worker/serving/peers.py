"""The other workers: what they can load, so that this one leaves it to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shared.domain.entities import Queue
from shared.jobs.workers import STORAGE, Workers
from worker.serving.lacks import Lacks


@dataclass(frozen=True)
class Peers:
    """The live workers beside the one called `name`, which `lacks` some models. Every method raises Unavailable."""

    name: str
    workers: Workers
    lacks: Lacks

    def may_have(self, model: str, queues: Sequence[Queue]) -> bool:
        """Return whether another live worker serves these queues and does not lack the model, as far as it knows."""
        return any(
            worker.name != self.name and set(queues) <= set(worker.queues) and worker.has(model) and worker.has(STORAGE)
            for worker in self.workers.alive()
        )

    def left_to_them(self, queues: Sequence[Queue]) -> list[str]:
        """Return the models that this process could not load, if another worker of these queues may have them.

        If none has, this process claims their work, which then fails.
        """
        return [model for model in self.lacks.untried() if self.may_have(model, queues)]
