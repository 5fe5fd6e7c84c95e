"""The model registry: published versions, and which of them serves new jobs."""

from __future__ import annotations

import functools
from pathlib import Path

from shared.card import CARD_FILE, MODEL_FILE, ModelCard
from shared.errors import ConfigError, NotFound

#: The folder of the model that ships with Darkroom.
SHIPPED = Path(__file__).resolve().parent.parent / "models"


class Registry:
    """Immutable model versions, each a folder with the model and its card."""

    def __init__(self, folder: Path = SHIPPED) -> None:
        self._folder = folder
        self._card = functools.lru_cache(maxsize=64)(self._read_card)

    def versions(self) -> list[ModelCard]:
        """All versions, newest first."""
        cards = [self.card(path.parent.name) for path in self._folder.glob(f"*/{CARD_FILE}")]
        return sorted(cards, key=lambda card: card.created_at, reverse=True)

    def champion(self) -> ModelCard:
        """The version that serves new jobs. Raises ConfigError where there is none at all."""
        versions = self.versions()
        if not versions:
            raise ConfigError(f"there is no model in {self._folder}")
        return versions[0]

    def card(self, version: str) -> ModelCard:
        """What is known of one version. Raises NotFound."""
        return self._card(version)

    def model_file(self, version: str) -> Path:
        """The file that Keras loads. Raises NotFound."""
        path = self._folder / version / MODEL_FILE
        if not path.is_file():
            raise NotFound(f"there is no model version {version}")
        return path

    def _read_card(self, version: str) -> ModelCard:
        if "/" in version or version.startswith("."):
            raise NotFound(f"there is no model version {version}")
        return ModelCard.read(self._folder / version / CARD_FILE)
