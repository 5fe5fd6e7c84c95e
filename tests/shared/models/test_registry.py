"""The registry: versions are immutable and published atomically; promotions detect lost updates."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.domain.card import CARD_FILE, CONFUSIONS_FILE, MODEL_FILE, OPENVINO_FILE, PREDICTIONS_FILE, TRUTH_FILE
from shared.domain.classifier import CIFAR10, EVERYDAY
from shared.domain.errors import ConfigError, Conflict, InvalidRequest, NotFound, PreconditionFailed, Unavailable
from shared.models.classifiers import Classifiers
from shared.models.registry import SHIPPED, Registry
from shared.models.versions import PublishedVersions
from shared.redis.connection import Client, connect
from shared.storage.blobs import BlobStore
from tests.versions_kit import TRUTH, all_shipped, measured, shipped, version_folder

LABELS = 10


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore.open(None, tmp_path / "data")


def registry_on(blobs: BlobStore, client: Client, cache: Path, shipped: Path = SHIPPED) -> Registry:
    """Return the registry of one process; each machine has its cache."""
    return Registry(shipped, PublishedVersions(blobs, cache), Classifiers(client))


@pytest.fixture
def registry(blobs: BlobStore, each_redis: Client, tmp_path: Path) -> Registry:
    return registry_on(blobs, each_redis, tmp_path / "cache")


@pytest.fixture
def other(blobs: BlobStore, each_redis: Client, tmp_path: Path) -> Registry:
    """Return the registry of another process on another machine."""
    return registry_on(blobs, each_redis, tmp_path / "cache of the other")


def names(registry: Registry) -> list[str]:
    """Return the versions of the default classifier."""
    return [card.version for card in registry.versions() if card.belongs_to == CIFAR10]


def test_a_published_version_is_visible_to_other_processes(registry: Registry, other: Registry, tmp_path: Path) -> None:
    assert names(other) == all_shipped()
    card = registry.publish(measured(version_folder(tmp_path, b"weights", created_at="2030-01-01T00:00:00Z")))
    assert names(other) == names(registry) == [card.version, *all_shipped()]
    assert other.card(card.version) == card
    assert other.exists(card.version)
    assert other.model_file(card.version).read_bytes() == b"weights"
    assert other.file(card.version, PREDICTIONS_FILE) == TRUTH


def test_a_version_may_have_no_network_for_keras(registry: Registry, other: Registry, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"layers").hexdigest()
    changes = {"network_file": OPENVINO_FILE, "file_sha256": digest, "version": f"imported-20260101-{digest[:8]}"}
    folder = version_folder(tmp_path, exported=b"layers", **changes)
    (folder / MODEL_FILE).unlink()
    card = registry.publish(folder)
    assert other.network_file(card.version).read_bytes() == b"layers"
    assert other.openvino_file(card.version) == other.network_file(card.version)
    with pytest.raises(NotFound, match="no network for Keras"):
        other.model_file(card.version)


def test_a_version_that_ships_elsewhere_is_published(
    registry: Registry, blobs: BlobStore, each_redis: Client, tmp_path: Path
) -> None:
    """Given a machine without shipped versions, then it has them once another one has published them."""
    bare = registry_on(blobs, each_redis, tmp_path / "cache", shipped=tmp_path / "nothing")
    assert bare.versions() == []
    for _ in range(2):
        registry.publish_shipped()
    assert bare.versions() == registry.versions()
    assert {card.version for card in bare.versions()} == {path.parent.name for path in SHIPPED.glob("*/card.json")}
    for card in bare.versions():
        assert bare.model_file(card.version).is_file() and bare.openvino_file(card.version)
        assert not bare.has_confusion_image(card) and not registry.has_confusion_image(card)


def test_a_damaged_shipped_file_is_replaced_by_the_published_one(
    registry: Registry, blobs: BlobStore, each_redis: Client, tmp_path: Path
) -> None:
    registry.publish_shipped()
    card, *_ = registry.versions()
    shutil.copytree(SHIPPED, tmp_path / "models")
    (tmp_path / "models" / card.version / OPENVINO_FILE).write_bytes(b"damaged")
    damaged = registry_on(blobs, each_redis, tmp_path / "cache", shipped=tmp_path / "models")
    assert damaged.openvino_file(card.version).read_bytes() == registry.openvino_file(card.version).read_bytes()


def test_a_version_is_never_overwritten(registry: Registry, other: Registry, tmp_path: Path) -> None:
    folder = version_folder(tmp_path, preset="first")
    registry.publish(folder)
    again = version_folder(tmp_path / "again", preset="second")
    for process in (registry, other):
        with pytest.raises(Conflict, match=folder.name):
            process.publish(again)
    assert other.card(folder.name).preset == "first"
    with pytest.raises(Conflict):
        registry.publish(SHIPPED / shipped())


def test_one_of_concurrent_publications_succeeds(blobs: BlobStore, each_redis: Client, tmp_path: Path) -> None:
    folder = version_folder(tmp_path)
    processes = [registry_on(blobs, each_redis, tmp_path / f"cache{n}") for n in range(4)]

    def publish(process: Registry) -> bool:
        try:
            return bool(process.publish(folder))
        except Conflict:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(publish, processes)) == [False, False, False, True]


def test_a_version_without_a_card_does_not_exist(registry: Registry, blobs: BlobStore, tmp_path: Path) -> None:
    """An interrupted publication is invisible and can be repeated."""
    folder = version_folder(tmp_path, b"weights")
    blobs.put(f"models/{folder.name}/{MODEL_FILE}", b"half of the wei")
    assert names(registry) == all_shipped()
    assert not registry.exists(folder.name)
    registry.publish(folder)
    assert registry.model_file(folder.name).read_bytes() == b"weights"


def test_a_folder_without_a_valid_card_is_not_published(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound):
        registry.publish(tmp_path / "empty")
    folder = version_folder(tmp_path)
    (folder / CARD_FILE).write_text("{}")
    with pytest.raises(InvalidRequest):
        registry.publish(folder)
    assert names(registry) == all_shipped()


@pytest.mark.parametrize("version", ["", ".", "..", "../models", "nothing-20260101-00000000", "a/b-20260101-00000000"])
def test_an_unknown_version_is_not_found(registry: Registry, version: str) -> None:
    assert not registry.exists(version)
    for ask in (registry.card, registry.model_file, registry.promote, lambda name: registry.file(name, CARD_FILE)):
        with pytest.raises(NotFound):
            ask(version)


def test_a_missing_file_is_not_found(registry: Registry, tmp_path: Path) -> None:
    card = registry.publish(version_folder(tmp_path))
    for version in (card.version, shipped()):
        if not (SHIPPED / version / CONFUSIONS_FILE).exists():
            with pytest.raises(NotFound):
                registry.file(version, CONFUSIONS_FILE)


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"version": 3}', "a card of another version"])
def test_a_damaged_card_is_logged_and_skipped(
    registry: Registry, blobs: BlobStore, tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = version_folder(tmp_path, b"good"), version_folder(tmp_path, b"bad")
    registry.publish(good)
    content = (good / CARD_FILE).read_bytes() if text == "a card of another version" else text.encode()
    blobs.put(f"models/{bad.name}/{CARD_FILE}", content)
    with caplog.at_level(logging.WARNING):
        assert set(names(registry)) == {*all_shipped(), good.name}
    assert bad.name in caplog.text


def test_a_card_is_read_once(registry: Registry, blobs: BlobStore, tmp_path: Path) -> None:
    """Only the list of versions is read again; cards are cached."""
    version = registry.publish(version_folder(tmp_path)).version
    before = registry.versions()
    blobs.put(f"models/{version}/{CARD_FILE}", b"unreadable from now on")
    assert registry.versions() == before


def test_a_model_is_fetched_once(registry: Registry, blobs: BlobStore, tmp_path: Path) -> None:
    version = registry.publish(version_folder(tmp_path, b"weights")).version
    path = registry.model_file(version)
    blobs.delete_all(f"models/{version}")
    assert registry.model_file(version) == path
    assert path.read_bytes() == b"weights"
    assert [file.name for file in path.parent.iterdir()] == [MODEL_FILE]


def test_a_damaged_model_is_not_cached(registry: Registry, blobs: BlobStore, tmp_path: Path) -> None:
    version = registry.publish(version_folder(tmp_path, b"weights")).version
    blobs.put(f"models/{version}/{MODEL_FILE}", b"wights")
    with pytest.raises(NotFound, match=r"damaged"):
        registry.model_file(version)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    blobs.put(f"models/{version}/{MODEL_FILE}", b"weights")
    assert registry.model_file(version).read_bytes() == b"weights"


def test_the_newest_shipped_version_is_the_default_champion(
    blobs: BlobStore, each_redis: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "shipped"
    old = version_folder(folder, b"old", created_at="2026-01-01T00:00:00Z").name
    new = version_folder(folder, b"new", created_at="2026-02-01T00:00:00+00:00").name
    registry = registry_on(blobs, each_redis, tmp_path / "cache", folder)
    assert registry.champion().version == new
    alias = registry.alias()
    assert (alias.version, alias.revision, alias.previous) == (new, 0, None)
    assert alias.since == registry.card(new).created_at.timestamp()
    registry.publish(version_folder(tmp_path, b"newest", created_at="2026-03-01T00:00:00Z"))
    assert registry.champion().version == new  # publishing does not promote
    registry.promote(old)
    assert registry.champion().version == old


def test_a_further_backbone_is_found_by_name_and_serves_only_if_promoted(
    blobs: BlobStore, each_redis: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "shipped"
    registry = registry_on(blobs, each_redis, tmp_path / "cache", folder)
    with pytest.raises(NotFound, match=r"no Backbone everyday here: `models/everyday-…` is missing"):
        registry.backbone("everyday")
    card = {"classifier": "everyday", "embedding": 1280}
    usual = version_folder(folder, b"usual", preset="everyday", created_at="2026-01-01T00:00:00Z", **card).name
    old = version_folder(folder, b"old", preset="lite2", created_at="2026-02-01T00:00:00Z", **card).name
    new = version_folder(folder, b"new", preset="lite2", created_at="2026-03-01T00:00:00Z", **card).name
    other = version_folder(folder, b"other", classifier="everyday", created_at="2025-01-01T00:00:00Z").name
    assert [registry.backbone(name).version for name in ("everyday", "lite2", old, usual)] == [usual, new, old, usual]
    assert registry.champion(EVERYDAY).version == usual
    with pytest.raises(NotFound, match=rf"version {other} is not a Backbone; you have: everyday, lite2"):
        registry.backbone(other)
    with pytest.raises(NotFound, match="no Backbone lite3 here; you have: everyday, lite2"):
        registry.backbone("lite3")
    registry.promote(new)
    assert registry.backbone("everyday").version == registry.champion(EVERYDAY).version == new


def test_the_alias_has_the_time_and_the_previous_version(
    registry: Registry, other: Registry, each_redis: Client, tmp_path: Path
) -> None:
    version = registry.publish(version_folder(tmp_path)).version
    seconds, microseconds = each_redis.time()
    alias = registry.promote(version, registry.alias().revision)
    assert (alias.version, alias.revision, alias.previous) == (version, 1, shipped())
    assert alias.since == pytest.approx(seconds + microseconds / 1e6, abs=5)
    assert other.alias() == alias
    assert other.champion().version == version
    back = other.promote(shipped(), alias.revision)
    assert (back.version, back.revision, back.previous) == (shipped(), 2, version)


def test_a_lost_update_is_detected(registry: Registry, other: Registry, tmp_path: Path) -> None:
    version = registry.publish(version_folder(tmp_path)).version
    seen = registry.alias().revision
    other.promote(version, seen)
    with pytest.raises(PreconditionFailed):
        registry.promote(shipped(), seen)
    assert registry.champion().version == version
    assert registry.promote(shipped(), None).version == shipped()  # any revision


def test_promoting_the_champion_changes_nothing(registry: Registry, tmp_path: Path) -> None:
    version = registry.publish(version_folder(tmp_path)).version
    alias = registry.promote(version)
    assert registry.promote(version) == registry.promote(version, alias.revision) == alias


def test_promoting_the_default_champion_sets_the_alias(registry: Registry) -> None:
    """It then stays the champion if a later release ships another version."""
    alias = registry.promote(shipped(), 0)
    assert (alias.version, alias.revision, alias.previous) == (shipped(), 1, None)


def test_a_promotion_whose_response_was_lost_can_be_repeated(registry: Registry, each_redis: Client) -> None:
    """The connection sends the script again with the same token, which is not a conflict."""
    scripts = Classifiers(each_redis)._scripts
    new = "", "cifar10", "new-20260101-00000000"
    answers = [scripts.run("promote", *new, 0, shipped(), "token") for _ in range(2)]
    assert answers == ["set", "set"]
    assert registry.alias().revision == 1
    assert scripts.run("promote", *new, 0, shipped(), "another") == "changed"


def test_one_of_concurrent_promotions_succeeds(blobs: BlobStore, each_redis: Client, tmp_path: Path) -> None:
    registry = registry_on(blobs, each_redis, tmp_path / "cache")
    versions = [registry.publish(version_folder(tmp_path, b"%d" % n)).version for n in range(6)]
    seen = registry.alias().revision

    def promote(version: str) -> str | None:
        try:
            return registry.promote(version, seen).version
        except PreconditionFailed:
            return None

    with ThreadPoolExecutor(len(versions)) as pool:
        done = [version for version in pool.map(promote, versions) if version]
    assert done == [registry.champion().version]
    assert registry.alias().revision == seen + 1


def test_a_lost_champion_is_unavailable(registry: Registry, other: Registry, blobs: BlobStore, tmp_path: Path) -> None:
    version = registry.publish(version_folder(tmp_path)).version
    registry.promote(version)
    blobs.delete_all("models")
    with pytest.raises(Unavailable, match=version):
        other.champion()
    assert other.promote(shipped(), other.alias().revision).version == other.champion().version == shipped()


def test_an_unreachable_redis_is_unavailable(blobs: BlobStore, tmp_path: Path) -> None:
    registry = registry_on(blobs, connect("redis://127.0.0.1:1/0"), tmp_path / "cache")
    for ask in (registry.alias, registry.champion, lambda: registry.promote(shipped())):
        with pytest.raises(Unavailable):
            ask()
    assert names(registry) == all_shipped()


def test_a_registry_of_shipped_versions_only(tmp_path: Path) -> None:
    """Tools need neither Redis nor a blob store; promoting and publishing do."""
    registry = Registry()
    assert registry.champion().version == registry.alias().version == shipped()
    for act in (lambda: registry.promote(shipped()), lambda: registry.publish(version_folder(tmp_path))):
        with pytest.raises(ConfigError):
            act()
    with pytest.raises(ConfigError):
        Registry(tmp_path / "nothing").champion()


def test_two_measured_versions_are_compared(registry: Registry, tmp_path: Path) -> None:
    first = registry.publish(measured(version_folder(tmp_path, b"1"), bytes([0] * 10))).version
    second = registry.publish(measured(version_folder(tmp_path, b"2"))).version
    found = registry.compare(first, second)
    assert (found.images, found.accuracy, found.only_second, found.only_first) == (10, (0.1, 1.0), 9, 0)


def test_one_of_two_versions_must_have_the_true_labels(registry: Registry, tmp_path: Path) -> None:
    """Shipped versions have predictions, but no data."""
    whole = measured(version_folder(tmp_path, b"1"))
    others = [measured(version_folder(tmp_path, content), bytes([0] * 10)) for content in (b"2", b"3")]
    for folder in others:
        (folder / TRUTH_FILE).unlink()
    first, second, third = (registry.publish(folder).version for folder in (whole, *others))
    assert registry.compare(first, second).accuracy == (1.0, 0.1)
    assert registry.compare(second, first).accuracy == (0.1, 1.0)
    with pytest.raises(Conflict, match="labels of the test images"):
        registry.compare(second, third)


def test_versions_with_different_test_images_cannot_be_compared(registry: Registry, tmp_path: Path) -> None:
    card = json.loads((SHIPPED / shipped() / CARD_FILE).read_text())
    first = registry.publish(measured(version_folder(tmp_path, b"1"))).version
    others = [
        version_folder(tmp_path, b"2"),  # not measured
        measured(version_folder(tmp_path, b"3"), truth=bytes(reversed(TRUTH))),
        measured(version_folder(tmp_path, b"4", dataset=card["dataset"] | {"digest": "0" * 64})),
        measured(version_folder(tmp_path, b"5", dataset=None)),
        measured(version_folder(tmp_path, b"6", labels=[f"l{n}" for n in range(LABELS)], metrics=None)),
    ]
    for folder in others:
        registry.publish(folder)
        with pytest.raises(Conflict, match=folder.name):
            registry.compare(first, folder.name)
    with pytest.raises(NotFound):
        registry.compare(first, "nothing-20260101-00000000")


def test_an_emptied_or_damaged_cache_is_filled_again(registry: Registry, tmp_path: Path) -> None:
    version = registry.publish(version_folder(tmp_path, b"weights")).version
    file = registry.model_file(version)
    shutil.rmtree(tmp_path / "cache")
    assert registry.model_file(version).read_bytes() == b"weights"
    file.write_bytes(b"weig")
    assert registry.model_file(version).read_bytes() == b"weights"
