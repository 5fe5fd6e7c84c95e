"""A worker follows the champion from a thread; one that cannot be loaded stops nobody and is said once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.domain.entities import Counts, Queue
from shared.models.champion import ChampionAlias
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


@dataclass
class Kit:
    """A watch over real models, and what it has said: the champion, each time that there was another one."""

    registry: Registry
    models: ModelCache
    watch: ChampionWatcher
    said: list[str | None]


def kit_on(registry: Registry, threads: int) -> Kit:
    models, said = ModelCache(registry, threads), []
    return Kit(registry, models, ChampionWatcher(registry, models, lambda: said.append(models.champion)), said)


@pytest.fixture
def kit(services: Services, threads: int) -> Iterator[Kit]:
    kit = kit_on(services.registry, threads)
    yield kit
    kit.watch.stop()


def test_the_watch_loads_each_new_champion_and_says_so(kit: Kit, turned: Path) -> None:
    kit.watch.start()
    assert kit.said == [shipped()]
    kit.registry.publish(turned)
    kit.registry.promote(turned.name)
    wait_until(lambda: len(kit.said) == 2, "the new champion is loaded")
    kit.registry.promote(shipped())
    wait_until(lambda: len(kit.said) == 3, "the old one is back")
    assert kit.said == [shipped(), turned.name, shipped()]


def test_a_champion_that_cannot_be_loaded_is_said_once_and_tried_again(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kit.watch.poll()
    broken = kit.registry.publish(version_folder(tmp_path)).version
    kit.registry.promote(broken)
    loads: list[str] = []
    preload = kit.models.preload
    monkeypatch.setattr(kit.models, "preload", lambda version: (loads.append(version), preload(version)))
    with caplog.at_level(logging.ERROR):
        for _ in range(5):
            kit.watch.poll()
        assert loads == [broken]  # it is not loaded at every look
        kit.watch._retry_at = 0
        kit.watch.poll()
    assert loads == [broken] * 2
    assert len([record for record in caplog.records if broken in record.getMessage()]) == 1
    assert (kit.models.champion, kit.said) == (shipped(), [shipped()])


def test_a_redis_that_is_away_is_said_once(threads: int, caplog: pytest.LogCaptureFixture) -> None:
    kit = kit_on(Registry(champion=ChampionAlias(connect("redis://127.0.0.1:1/0"))), threads)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            kit.watch.poll()
    assert len(caplog.records) == 1
    assert kit.models.champion is None


def test_what_nobody_foresaw_does_not_end_the_watch(
    kit: Kit, redis_client: Client, turned: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kit.watch.start()
    kit.registry.publish(turned)
    redis_client.set(keys.CHAMPION, "no hash at all")
    wait_until(lambda: "cannot be watched" in caplog.text, "it is logged")
    redis_client.delete(keys.CHAMPION)
    kit.registry.promote(turned.name)
    wait_until(lambda: kit.models.champion == turned.name, "the watch goes on")


def test_a_worker_starts_without_a_champion_and_serves_what_can_be_served(services: Services, tmp_path: Path) -> None:
    """Given a champion that cannot be loaded, then jobs of another version are done, and it says that it holds none."""
    job_id = stored(services, pictures(2))
    services.registry.promote(services.registry.publish(version_folder(tmp_path)).version)
    worker = WorkerProcess(services, [Queue.INTERACTIVE, Queue.BULK])
    worker.start()
    (seen,) = wait_until(services.workers.alive, "the worker is seen")
    assert seen.model is None
    assert worker.work()
    assert services.store.get(job_id).counts == Counts(2, succeeded=2)
    services.registry.promote(shipped())
    wait_until(lambda: services.workers.alive()[0].model == shipped(), "it says so at once")
    worker.stop()
