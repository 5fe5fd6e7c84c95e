"""A worker loads each new champion. A champion that cannot be loaded is logged once and stops no running job."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.domain.card import CARD_FILE
from shared.domain.entities import Counts, Queue
from shared.models.classifiers import Classifiers
from shared.models.registry import Registry
from shared.redis import keys
from shared.redis.connection import Client, connect
from shared.services import Services
from tests.conftest import wait_until
from tests.versions_kit import shipped, turned_network, version_folder
from tests.worker.kit import pictures, stored
from worker.runtime.process import WorkerProcess
from worker.serving.champion_watch import ChampionWatcher
from worker.serving.models import ModelCache


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return turned_network(tmp_path_factory.mktemp("turned"))


#: Memory for some ten models like the shipped one.
BUDGET = 512 * 1024 * 1024


@dataclass
class Kit:
    """A watcher over real models. `reported` lists each champion that it has loaded."""

    registry: Registry
    models: ModelCache
    watch: ChampionWatcher
    reported: list[str | None]


def kit_on(registry: Registry, threads: int) -> Kit:
    models, reported = ModelCache(registry, threads, BUDGET), []
    watch = ChampionWatcher(registry, models, lambda: reported.append(watch.champion))
    return Kit(registry, models, watch, reported)


@pytest.fixture
def kit(services: Services, threads: int) -> Iterator[Kit]:
    kit = kit_on(services.registry, threads)
    yield kit
    kit.watch.stop()


def test_each_new_champion_is_loaded_and_reported(kit: Kit, turned: Path) -> None:
    kit.watch.start()
    assert kit.reported == [shipped()]
    kit.registry.publish(turned)
    kit.registry.promote(turned.name)
    wait_until(lambda: len(kit.reported) == 2, "the new champion is loaded")
    kit.registry.promote(shipped())
    wait_until(lambda: len(kit.reported) == 3, "the old one is back")
    assert kit.reported == [shipped(), turned.name, shipped()]


def test_champions_of_classifiers_in_use_are_loaded_within_half_of_the_memory(
    kit: Kit, services: Services, turned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that only the first picture for a Classifier may have to wait, and a new champion is swapped in."""
    versions = [of_classifier(turned, n) for n in range(2)]
    loads: list[str] = []
    load = kit.models._load
    monkeypatch.setattr(kit.models, "_load", lambda version: (loads.append(version), load(version))[1])
    for folder in versions:
        kit.registry.publish(folder)
    kit.registry.promote(versions[0].name)
    kit.watch.poll()
    assert loads == [shipped()], "nobody uses it"
    fruit = services.registry.classifier("fruit", "ann")
    services.classifiers.record_use(fruit)
    kit.watch.poll()
    kit.registry.promote(versions[1].name)
    kit.watch.poll()
    assert loads == [shipped(), *(folder.name for folder in versions)]
    kit.models.get(versions[1].name)
    services.classifiers.remove(fruit)
    kit.models.budget = 1
    services.classifiers.add(fruit)
    services.classifiers.record_use(fruit)
    kit.registry.promote(versions[0].name)
    kit.watch.poll()
    assert len(loads) == 3, "there is no room for it"
    assert kit.watch.champion == shipped()


def of_classifier(folder: Path, number: int) -> Path:
    """Return a copy of a version that belongs to ann's Classifier `fruit`."""
    name = f"p{number}{folder.name[folder.name.index('-') :]}"
    copy = Path(shutil.copytree(folder, folder.parent / "fruit" / name))
    card = json.loads((copy / CARD_FILE).read_text())
    (copy / CARD_FILE).write_text(json.dumps(card | {"version": name, "owner": "ann", "classifier": "fruit"}))
    return copy


def test_a_broken_champion_is_logged_once_and_retried_later(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kit.watch.poll()
    broken = kit.registry.publish(version_folder(tmp_path)).version
    kit.registry.promote(broken)
    loads: list[str] = []
    get = kit.models.get
    monkeypatch.setattr(kit.models, "get", lambda version: (loads.append(version), get(version)))
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            kit.watch.poll()
        assert loads == [broken]  # not loaded at every poll
        kit.watch._retry_at.clear()
        kit.watch.poll()
    assert loads == [broken] * 2
    assert len([record for record in caplog.records if broken in record.getMessage()]) == 1
    assert (kit.watch.champion, kit.reported) == (shipped(), [shipped()])


def test_a_redis_outage_is_logged_once(threads: int, caplog: pytest.LogCaptureFixture) -> None:
    kit = kit_on(Registry(classifiers=Classifiers(connect("redis://127.0.0.1:1/0"))), threads)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            kit.watch.poll()
    assert len(caplog.records) == 1
    assert kit.watch.champion is None


@pytest.mark.parametrize(
    "write",
    [lambda redis: redis.set(keys.CHAMPION, "not a hash"), lambda redis: redis.hset(keys.CHAMPION, "version", "odd")],
    ids=["refusal", "bug"],
)
def test_no_error_stops_the_watcher(
    kit: Kit, redis_client: Client, turned: Path, caplog: pytest.LogCaptureFixture, write: Callable[[Client], object]
) -> None:
    """Given a record that Redis refuses to read, or one that our code cannot read."""
    kit.watch.start()
    kit.registry.publish(turned)
    write(redis_client)
    wait_until(lambda: "cannot load the champion" in caplog.text, "it is logged")
    redis_client.delete(keys.CHAMPION)
    kit.registry.promote(turned.name)
    wait_until(lambda: kit.watch.champion == turned.name, "the watcher continues")


def test_a_worker_with_a_broken_champion_serves_other_versions(services: Services, tmp_path: Path) -> None:
    job_id = stored(services, pictures(2))
    services.registry.promote(services.registry.publish(version_folder(tmp_path)).version)
    worker = WorkerProcess(services, [Queue.INTERACTIVE, Queue.BULK])
    worker.start()
    (listed,) = wait_until(services.workers.alive, "the worker is listed")
    assert listed.model is None
    assert worker.chunks.work()
    assert services.store.get(job_id).counts == Counts(2, succeeded=2)
    services.registry.promote(shipped())
    wait_until(lambda: services.workers.alive()[0].model == shipped(), "it is announced")
    worker.stop()
