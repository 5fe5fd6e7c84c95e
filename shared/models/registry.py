"""The model registry: all model versions, and the champion of each Classifier."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.domain.card import (
    ANSWERS_FILE,
    CARD_FILE,
    CONFUSIONS_FILE,
    HEAD_FILE,
    OPENVINO_FILE,
    PREDICTIONS_FILE,
    TRUTH_FILE,
    ModelCard,
)
from shared.domain.classifier import CIFAR10, EVERYDAY, SHIPPED_CLASSIFIERS, Classifier
from shared.domain.errors import ConfigError, Conflict, InvalidRequest, NotFound, Unavailable, you_have
from shared.logs import with_cause
from shared.models.answers import Answered, unpack_answers
from shared.models.classifiers import Alias, Classifiers
from shared.models.comparison import Comparison, compare, compare_answers, unpack_indices
from shared.models.versions import PublishedVersions, ShippedVersions, VersionStore

log = logging.getLogger(__name__)

#: Folder of the models that ship with Darkroom.
SHIPPED = Path(__file__).resolve().parent.parent.parent / "models"
#: Names of versions: preset, date, and the beginning of the file's digest.
VERSION_PATTERN = re.compile(r"[a-z0-9_]+-[0-9]{8}-[0-9a-f]{8}")
#: Cards in memory, about 20 KB each. They never change.
CARD_CACHE_SIZE = 512


class Registry:
    """Immutable ModelVersions, and the champions of the Classifiers.

    Every method raises Unavailable if the blob store or Redis cannot be reached.
    """

    def __init__(
        self,
        shipped: Path = SHIPPED,
        published: PublishedVersions | None = None,
        classifiers: Classifiers | None = None,
    ) -> None:
        """Without `published` and `classifiers`, only shipped versions exist, and the newest are the champions."""
        self._published, self._classifiers = published, classifiers
        self._folder, self._shipped = shipped, ShippedVersions(shipped)
        self._stores: list[VersionStore] = [self._shipped, published] if published else [self._shipped]
        self._card = functools.lru_cache(maxsize=CARD_CACHE_SIZE)(self._read_card)
        self._has_image = functools.lru_cache(maxsize=CARD_CACHE_SIZE)(
            lambda version: published is not None and published.has(version, CONFUSIONS_FILE)
        )

    def versions(self) -> list[ModelCard]:
        """Return all versions, newest first. A version whose card cannot be read is logged and skipped."""
        return self._newest_first(dict.fromkeys(name for store in self._stores for name in store.names()))

    def card(self, version: str) -> ModelCard:
        """Return the card of a version. Raises NotFound, and InvalidRequest if the card is damaged."""
        return self._card(version)[1]

    def exists(self, version: str) -> bool:
        """Return whether the version exists."""
        try:
            self.card(version)
        except NotFound:
            return False
        return True

    def has_confusion_image(self, card: ModelCard) -> bool:
        """Return whether the version has an image of its confusions. Versions that ship, or have shipped, have none."""
        if card.metrics is None or self._published is None or self._card(card.version)[0] is self._shipped:
            return False
        return self._has_image(card.version)

    def file(self, version: str, name: str) -> bytes:
        """Return a file of a version, by a name in `shared.domain.card`. Raises NotFound if the version lacks it."""
        return self._card(version)[0].read(version, name)

    def model_file(self, version: str) -> Path:
        """Return the path of the file for Keras, fetched once if the version is published.

        Raises NotFound, also if the version has none because it was imported from another format.
        """
        if not self.card(version).has_keras:
            raise NotFound(f"version {version} has no network for Keras: it was imported from another format")
        return self.network_file(version)

    def network_file(self, version: str) -> Path:
        """Return the path of the file that the version consists of: for Keras, or for OpenVINO. Raises NotFound."""
        card = self.card(version)
        return self._local(version, card.network_file, card.file_sha256)

    def openvino_file(self, version: str) -> Path | None:
        """Return the path of the file for OpenVINO, or None if the version has none. Raises NotFound if it is lost."""
        sha256 = self.card(version).openvino_sha256
        return self._local(version, OPENVINO_FILE, sha256) if sha256 else None

    def head_file(self, version: str) -> Path:
        """Return the path of the Head of a version on a Backbone. Raises NotFound."""
        reference = self.card(version).backbone
        if reference is None:
            raise NotFound(f"version {version} is not a head on a backbone")
        return self._local(version, HEAD_FILE, reference.head_sha256)

    def publish(self, folder: Path) -> ModelCard:
        """Publish the version in `folder` for all processes, add its Classifier if it is new, and return the card.

        Raises Conflict if the version exists, NotFound and InvalidRequest if the folder has no valid card.
        """
        card = ModelCard.read(folder / CARD_FILE)
        if self._published is None:
            raise ConfigError("this registry has no blob store to publish into")
        if self.exists(card.version):
            raise Conflict(f"model version {card.version} already exists, and versions are immutable")
        if self._classifiers is not None:
            self._classifiers.add(card.belongs_to)
        self._published.publish(card.version, folder)
        return card

    def publish_shipped(self) -> None:
        """Publish the shipped versions, for machines on which other versions ship. Raises StorageFull."""
        if self._published is None:
            return
        for version in self._shipped.names():
            if not self._published.has(version, CARD_FILE):
                with contextlib.suppress(Conflict):  # another process was faster
                    self._published.publish(version, self._folder / version)

    def compare(self, first: str, second: str) -> Comparison:
        """Compare the second version with the first, on the test images that both were measured on.

        Raises NotFound, and Conflict if there are none. Only versions of the same Dataset may have others, too.
        """
        cards = self.card(first), self.card(second)
        if _are_of_one_dataset(*cards) and _digest(cards[0]) != _digest(cards[1]):
            answers = self._answers(first), self._answers(second)
            return compare_answers(*answers, max((card.labels for card in cards), key=len))
        if cards[0].labels != cards[1].labels or _digest(cards[0]) != _digest(cards[1]):
            raise Conflict(
                f"{first} and {second} were not measured on the same test images, so they cannot be compared"
            )
        labels = cards[0].labels
        files = self._truth(first, second), self._predictions(first), self._predictions(second)
        truth, one, other = (unpack_indices(content, len(labels)) for content in files)
        return compare(truth, one, other, labels)

    def champion(self, classifier: Classifier = CIFAR10) -> ModelCard:
        """Return the card of the champion. Raises Unavailable if it is lost; other errors are those of `alias`."""
        alias = self.alias(classifier)
        try:
            return self.card(alias.version)
        except (NotFound, InvalidRequest) as error:
            raise Unavailable(f"the champion {alias.version} cannot be used, promote another: {error}") from error

    def backbones(self) -> list[ModelCard]:
        """Return the Backbones that ship with Darkroom or were made here, newest first."""
        return [card for card in self.versions() if card.is_backbone]

    def backbone(self, name: str) -> ModelCard:
        """Return the card of a Backbone: a version, the newest one of a network, or the champion of `everyday`.

        Raises NotFound, also if the version is not a Backbone.
        """
        if name == EVERYDAY.name and (alias := self.find_alias(EVERYDAY)):
            return self.card(alias.version)
        found = [card for card in self.backbones() if name in (card.version, card.preset)]
        if found:
            return found[0]
        here = you_have({card.preset for card in self.backbones()}) or ": `models/everyday-…` is missing"
        if self.exists(name):
            raise NotFound(f"version {name} is not a Backbone{here}")
        raise NotFound(f"there is no Backbone {name[:64]} here{here}")

    def alias(self, classifier: Classifier = CIFAR10) -> Alias:
        """Return the promoted version, else the newest shipped one.

        If there is none, raises NotFound, or ConfigError if it is the default Classifier's.
        """
        alias = self.find_alias(classifier)
        if alias is None and classifier == CIFAR10:
            raise ConfigError("this installation has no model, and none was promoted")
        if alias is None:
            raise NotFound(f"the classifier {classifier.name} has no champion yet: promote a version")
        return alias

    def find_alias(self, classifier: Classifier) -> Alias | None:
        """Return the promoted version, else the newest shipped one, or None if there is none."""
        chosen = self._classifiers.alias(classifier) if self._classifiers else None
        return chosen or self._default(classifier)

    def champions(self, classifiers: Iterable[Classifier]) -> set[str]:
        """Return the champions of these Classifiers that have one."""
        return {alias.version for each in set(classifiers) if (alias := self.find_alias(each))}

    def promote(self, version: str, expected: int | None = None) -> Alias:
        """Make `version` the champion of its Classifier, and return the alias. Running jobs keep their version.

        Raises PreconditionFailed if the alias's revision is not `expected` (None allows any), NotFound.
        """
        classifier = self.card(version).belongs_to
        if self._classifiers is None:
            raise ConfigError("this registry has no Redis to keep the champion in")
        default = self._default(classifier)
        self._classifiers.promote(classifier, version, default.version if default else None, expected)
        return self.alias(classifier)

    def classifiers(self, owner: str) -> list[Classifier]:
        """Return the shipped Classifiers that have a version, then the owner's, sorted by name."""
        shipped = [classifier for classifier in SHIPPED_CLASSIFIERS if self.find_alias(classifier)]
        own = self._classifiers.names(owner) if self._classifiers else []
        return [*shipped, *(Classifier(name, owner) for name in own)]

    def classifiers_in_use(self) -> Sequence[Classifier]:
        """Return the Classifiers that Jobs were created for lately, the last one first; without the default one."""
        return self._classifiers.in_use() if self._classifiers else ()

    def classifier(self, name: str, owner: str) -> Classifier:
        """Return the shipped Classifier of this name, else the owner's. Raises NotFound."""
        shipped = next((found for found in SHIPPED_CLASSIFIERS if found.name == name), None)
        if shipped and self.find_alias(shipped):
            return shipped
        own = Classifier(name, owner)
        if shipped or self._classifiers is None or not self._classifiers.exists(own):
            raise NotFound(
                f"there is no classifier {name[:64]}{you_have(each.name for each in self.classifiers(owner))}"
            )
        return own

    def _local(self, version: str, name: str, sha256: str) -> Path:
        """Return a local path of a file from the first store that has it undamaged. Raises NotFound."""
        found = NotFound(f"{name} of model {version} is missing")
        for store in self._stores:
            try:
                return store.local_path(version, name, sha256)
            except NotFound as error:
                found = error if "damaged" in str(error) else found
        raise found

    def _predictions(self, version: str) -> bytes:
        """Return the version's predictions on the test images. Raises Conflict if it was not measured."""
        return self._measured(version, PREDICTIONS_FILE)

    def _answers(self, version: str) -> list[Answered]:
        """Return the version's answers to the test pictures of its Dataset. Raises Conflict if it was not measured."""
        return unpack_answers(self._measured(version, ANSWERS_FILE))

    def _measured(self, version: str, name: str) -> bytes:
        try:
            return self.file(version, name)
        except NotFound as error:
            raise Conflict(f"{version} was not measured on test images, so it cannot be compared") from error

    def _truth(self, first: str, second: str) -> bytes:
        """Return the true labels of the test images from the versions' files. Not every shipped version has them.

        Raises Conflict if neither version has them, or if they differ.
        """
        found = set()
        for version in (first, second):
            with contextlib.suppress(NotFound):
                found.add(self.file(version, TRUTH_FILE))
        if len(found) == 2:
            raise Conflict(f"{first} and {second} were measured with different labels of the test images")
        if not found:
            raise Conflict(
                f"neither {first} nor {second} has the labels of the test images, so they cannot be compared"
            )
        return found.pop()

    def _default(self, classifier: Classifier) -> Alias | None:
        cards = self._newest_first(self._shipped.names() if classifier.is_shipped else ())
        newest = next((card for card in cards if card.belongs_to == classifier and not _is_further(card)), None)
        return Alias(newest.version, newest.created_at.timestamp(), revision=0) if newest else None

    def _newest_first(self, versions: Iterable[str]) -> list[ModelCard]:
        cards = []
        for version in versions:
            try:
                cards.append(self.card(version))
            except (NotFound, InvalidRequest) as error:
                log.warning("model version %s is skipped: %s", version, with_cause(error))
        return sorted(cards, key=lambda card: (card.created_at, card.version), reverse=True)

    def _read_card(self, version: str) -> tuple[VersionStore, ModelCard]:
        """Return the store and the card of a version. Raises NotFound."""
        if VERSION_PATTERN.fullmatch(version):
            for store in self._stores:
                try:
                    return store, _parsed(version, store.read(version, CARD_FILE))
                except NotFound:
                    continue
        raise version_not_found(version)


def version_not_found(version: str) -> NotFound:
    """Return the error for an unknown version."""
    return NotFound(f"there is no model version {version[:64]}")


def _is_further(card: ModelCard) -> bool:
    """Return whether it is another Backbone than `everyday`: that one stays in use until another is promoted."""
    return card.is_backbone and card.preset != EVERYDAY.name


def _are_of_one_dataset(one: ModelCard, other: ModelCard) -> bool:
    """Return whether both have learnt from the same Dataset of an owner, maybe as it was at different times."""
    return bool(one.dataset and one.dataset.id and other.dataset and one.dataset.id == other.dataset.id)


def _digest(card: ModelCard) -> str | None:
    """Return the digest of the data set with the version's test images. Corrections do not change them."""
    if card.corrections:
        return card.corrections.base_digest
    return card.dataset.digest if card.dataset else None


def _parsed(version: str, content: bytes) -> ModelCard:
    card = ModelCard.parse(content, f"{version}/{CARD_FILE}")
    if card.version != version:
        raise InvalidRequest(f"{version}/{CARD_FILE} is the card of version {card.version}")
    return card
