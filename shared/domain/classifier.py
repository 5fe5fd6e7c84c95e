"""A Classifier by name: its versions answer for the same classes, and one of them is its champion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Classifier:
    """The name of a Classifier, unique for its owner. The ones without an owner ship with Darkroom and are for all."""

    name: str
    owner: str | None = None

    @property
    def is_shipped(self) -> bool:
        """Return whether it ships with Darkroom."""
        return self.owner is None


#: The default Classifier, with the ten classes of CIFAR-10, and the one of a thousand everyday things.
CIFAR10, EVERYDAY = Classifier("cifar10"), Classifier("everyday")
#: The Classifiers that ship with Darkroom. No owner can have another one of these names.
SHIPPED_CLASSIFIERS = (CIFAR10, EVERYDAY)
