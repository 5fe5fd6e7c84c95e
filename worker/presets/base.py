"""What a preset is: a network and the hyperparameters that train it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Generic, TypeVar

from shared.errors import InvalidRequest


@dataclass(frozen=True, kw_only=True)
class Params:
    """The hyperparameters that every preset has; a preset adds its own in a subclass.

    Raises InvalidRequest where one is out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InvalidRequest(f"{name} should be greater than 0, not {getattr(self, name)}.")

    def changed(self, **changes: Any) -> Params:
        """Return a copy with the given fields; one that is None keeps its value."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})

    def as_dict(self) -> dict[str, Any]:
        """Return every hyperparameter by name, as a model's card records them."""
        return asdict(self)


P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Preset(Generic[P]):
    """A named recipe.

    `build` takes the hyperparameters and returns a compiled `keras.Model` that maps uint8 RGB images
    (n, height, width, 3) to probabilities (n, classes), float32. It imports Keras itself, so that listing the presets
    does not load TensorFlow.
    """

    name: str
    summary: str
    params: P
    build: Callable[[P], Any]
