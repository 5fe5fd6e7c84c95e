"""The model registry: the versions there are, and which of them serves new jobs."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Iterable
from pathlib import Path

from shared.domain.card import CARD_FILE, MODEL_FILE, OPENVINO_FILE, PREDICTIONS_FILE, TRUTH_FILE, ModelCard
from shared.domain.errors import ConfigError, Conflict, InvalidRequest, NotFound, Unavailable
from shared.models.champion import Alias, ChampionAlias
from shared.models.comparison import Comparison, compare
from shared.models.versions import PublishedVersions, ShippedVersions, VersionStore

log = logging.getLogger(__name__)

#: The folder of the model that ships with Darkroom.
SHIPPED = Path(__file__).resolve().parent.parent.parent / "models"
#: A version's name, as its card has it: preset, date, and the beginning of the file's digest.
VERSION_PATTERN = re.compile(r"[a-z0-9_]+-[0-9]{8}-[0-9a-f]{8}")
#: Cards that are kept in memory, some 20 KB each; a version never changes.
CARDS = 512


class Registry:
    """Immutable ModelVersions, and the alias of the one that serves new jobs.

    Every method raises Unavailable where the blob store or Redis cannot be reached.
    """

    def __init__(
        self,
        shipped: Path = SHIPPED,
        published: PublishedVersions | None = None,
        champion: ChampionAlias | None = None,
    ) -> None:
        """Without the last two it knows the shipped versions only, and the newest of them is the champion."""
        self._published, self._champion = published, champion
        self._shipped: VersionStore = ShippedVersions(shipped)
        self._stores: list[VersionStore] = [self._shipped, published] if published else [self._shipped]
        self._card = functools.lru_cache(maxsize=CARDS)(self._read_card)

    def versions(self) -> list[ModelCard]:
        """All versions, newest first; one whose card cannot be read is logged and left out."""
        return self._newest_first(dict.fromkeys(name for store in self._stores for name in store.names()))

    def card(self, version: str) -> ModelCard:
        """What is known of one version. Raises NotFound, and InvalidRequest where its card is damaged."""
        return self._card(version)[1]

    def exists(self, version: str) -> bool:
        """Whether there is such a version."""
        try:
            self.card(version)
        except NotFound:
            return False
        return True

    def has_confusion_image(self, card: ModelCard) -> bool:
        """Whether there is a picture of the version's confusions: what ships holds no data."""
        return card.metrics is not None and self._card(card.version)[0] is not self._shipped

    def file(self, version: str, name: str) -> bytes:
        """Return one file of a version, by a name of `shared.domain.card`. Raises NotFound: a version may lack it."""
        return self._card(version)[0].read(version, name)

    def model_file(self, version: str) -> Path:
        """The file that Keras loads; what is published is fetched once. Raises NotFound."""
        store, card = self._card(version)
        return store.local_path(version, MODEL_FILE, card.file_sha256)

    def openvino_file(self, version: str) -> Path | None:
        """The file that OpenVINO loads, None where the version has none. Raises NotFound where it is lost."""
        store, card = self._card(version)
        return store.local_path(version, OPENVINO_FILE, card.openvino_sha256) if card.openvino_sha256 else None

    def publish(self, folder: Path) -> ModelCard:
        """Store the version that lies in `folder`, for every process to see, and return its card.

        Raises Conflict where that version is there already, NotFound and InvalidRequest where the folder holds none.
        """
        card = ModelCard.read(folder / CARD_FILE)
        if self._published is None:
            raise ConfigError("this registry has no blob store to publish into")
        if self.exists(card.version):
            raise Conflict(f"model version {card.version} is there already, and a version never changes")
        self._published.publish(card.version, folder)
        return card

    def compare(self, first: str, second: str) -> Comparison:
        """The second version against the first. Raises NotFound, Conflict where their test images are not the same."""
        cards = self.card(first), self.card(second)
        if cards[0].labels != cards[1].labels or _digest(cards[0]) != _digest(cards[1]):
            raise Conflict(
                f"{first} and {second} were not measured on the same test images, so they cannot be compared"
            )
        answers, truth = (self._answers(first), self._answers(second)), self._truth(first, second)
        return compare(truth, *answers, cards[0].labels)

    def champion(self) -> ModelCard:
        """The version that serves new jobs. Raises Unavailable where it is lost, ConfigError where none ever was."""
        alias = self.alias()
        try:
            return self.card(alias.version)
        except (NotFound, InvalidRequest) as error:
            raise Unavailable(f"the champion {alias.version} cannot be used, promote another: {error}") from error

    def alias(self) -> Alias:
        """What the champion is: the one that was chosen, else the newest shipped version. Raises ConfigError."""
        chosen = self._champion.get() if self._champion else None
        return chosen or self._default()

    def promote(self, version: str, expected: int | None = None) -> Alias:
        """Let `version` serve new jobs from now on, and return the alias; running jobs keep theirs.

        Raises PreconditionFailed where the alias's revision is not `expected` (None: whatever it is), NotFound.
        """
        self.card(version)
        if self._champion is None:
            raise ConfigError("this registry has no Redis to keep the champion in")
        self._champion.set(version, self._default(), expected)
        return self.alias()

    def _answers(self, version: str) -> bytes:
        """The version's answer to each test image. Raises Conflict where it was not measured."""
        try:
            return self.file(version, PREDICTIONS_FILE)
        except NotFound as error:
            raise Conflict(f"{version} was not measured on test images, so it cannot be compared") from error

    def _truth(self, first: str, second: str) -> bytes:
        """The right label of each test image, which one of the versions must have: what ships holds no data.

        Raises Conflict where neither has it, or where they do not agree.
        """
        found = set()
        for version in (first, second):
            with contextlib.suppress(NotFound):
                found.add(self.file(version, TRUTH_FILE))
        if len(found) == 2:
            raise Conflict(f"{first} and {second} were measured against other labels of the test images")
        if not found:
            raise Conflict(
                f"neither {first} nor {second} has the labels of the test images, so they cannot be compared"
            )
        return found.pop()

    def _default(self) -> Alias:
        cards = self._newest_first(self._shipped.names())
        if not cards:
            raise ConfigError("no model ships with this Darkroom, and none was promoted")
        return Alias(cards[0].version, cards[0].created_at.timestamp(), revision=0)

    def _newest_first(self, versions: Iterable[str]) -> list[ModelCard]:
        cards = []
        for version in versions:
            try:
                cards.append(self.card(version))
            except (NotFound, InvalidRequest) as error:
                log.warning("model version %s is left out: %s", version, error)
        return sorted(cards, key=lambda card: (card.created_at, card.version), reverse=True)

    def _read_card(self, version: str) -> tuple[VersionStore, ModelCard]:
        """Where a version lies, and its card."""
        if VERSION_PATTERN.fullmatch(version):
            for store in self._stores:
                try:
                    return store, _parsed(version, store.read(version, CARD_FILE))
                except NotFound:
                    continue
        raise NotFound(f"there is no model version {version[:64]}")


def _digest(card: ModelCard) -> str | None:
    """That of the data set whose test images the version was measured on: corrected pictures add none to them."""
    if card.corrections:
        return card.corrections.base_digest
    return card.dataset.digest if card.dataset else None


def _parsed(version: str, content: bytes) -> ModelCard:
    card = ModelCard.parse(content, f"{version}/{CARD_FILE}")
    if card.version != version:
        raise InvalidRequest(f"{version}/{CARD_FILE} is the card of another version, {card.version}")
    return card
