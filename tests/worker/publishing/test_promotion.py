"""The promotion of a new version: against the champion of its own Classifier."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.datasets.entities import Split
from shared.domain.card import SNAPSHOT_FILE
from shared.domain.classifier import Classifier
from shared.domain.errors import Conflict
from shared.services import Services
from tests.shared.datasets.kit import DatasetKit, Given
from tests.versions_kit import measured, shipped, version_folder
from worker.datasets.snapshot import pack, present
from worker.publishing.promotion import promote
from worker.training.dataset_judge import DatasetJudge

FRUIT = Classifier("fruit", "ann")


@pytest.fixture
def fruit(services: Services, tmp_path: Path) -> list[str]:
    """Publish three versions of a Classifier: two that are always wrong but for one class, and a perfect one."""
    answers = bytes(10), bytes(10), bytes(range(10))
    folders = [
        measured(version_folder(tmp_path, b"%d" % n, owner="ann", classifier="fruit"), answer)
        for n, answer in enumerate(answers)
    ]
    return [services.registry.publish(folder).version for folder in folders]


def test_a_version_is_compared_with_the_champion_of_its_classifier(services: Services, fruit: list[str]) -> None:
    worse, other, best = fruit
    registry = services.registry
    assert not promote(registry, "never", worse).promoted and registry.find_alias(FRUIT) is None
    first = promote(registry, "if_better", worse)
    assert (first.promoted, first.reason) == (True, "it is the first version of its classifier")
    assert not promote(registry, "if_better", other).promoted
    assert promote(registry, "if_better", best).promoted
    assert promote(registry, "if_better", best).reason == "it is the champion"
    assert (registry.alias(FRUIT).version, registry.alias().version) == (best, shipped())


def test_the_judge_of_a_dataset_decides(services: Services, fruit: list[str]) -> None:
    promote(services.registry, "always", fruit[0])

    def judge(first: str, second: str):
        assert (first, second) == (fruit[0], fruit[2])
        raise Conflict("one of them learnt from a test picture")

    decision = promote(services.registry, "if_better", fruit[2], judge)
    assert (decision.promoted, "learnt from a test picture" in decision.reason) == (False, True)


def test_nothing_is_promoted_in_a_classifier_that_was_deleted(services: Services, fruit: list[str]) -> None:
    services.classifiers.remove(FRUIT)
    decision = promote(services.registry, "always", fruit[0])
    assert (decision.promoted, decision.reason) == (False, "there is no classifier fruit")


def test_a_thin_dataset_and_unusable_versions_keep_the_champion(services: Services, tmp_path: Path) -> None:
    """Given a Dataset that has lost pictures since it was learnt from, Then a reason is given, and nothing fails."""
    kit = DatasetKit(services.redis, services.blobs)
    dataset = kit.create("fruit", "apple", "pear")
    kit.add(dataset, Given("a", "apple", split=Split.TEST), Given("b", "pear", split=Split.TEST))
    tested = present(kit.pictures, dataset)
    learnt = pack(tested.without(tested.test))
    versions = []
    for name in (b"first", b"second"):
        folder = version_folder(tmp_path, name, exported=b"no network", owner="ann", classifier="fruit")
        (folder / SNAPSHOT_FILE).write_bytes(learnt)
        versions.append(services.registry.publish(measured(folder)).version)
    first, second = versions
    judge = DatasetJudge(services, dataset)
    promote(services.registry, "if_better", first)
    decision = promote(services.registry, "if_better", second, judge)
    assert (decision.promoted, f"{first} cannot be loaded" in decision.reason) == (False, True)
    kit.store.remove(dataset)
    decision = promote(services.registry, "if_better", second, judge)
    assert (decision.promoted, "the dataset was deleted" in decision.reason) == (False, True)
    kit.close()
