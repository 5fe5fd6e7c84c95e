"""Workers and the reconciler say what can be trained, and what it costs here."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from shared.domain.errors import Unavailable
from shared.redis import keys
from shared.redis.connection import Client
from shared.services import Services
from shared.training.preset_catalog import Cost, resolve
from worker import presets
from worker.presets.announce import PASSES, announce, announce_missing, describe, machine_speed, measured


def costs(services: Services) -> dict[str, Cost]:
    return {preset.name: preset.cost for preset in services.catalogue.presets()}


def test_every_preset_is_announced_with_its_parameters_and_cost(services: Services) -> None:
    announce(services)
    listed = services.catalogue.presets()
    assert {preset.name: preset.parameters for preset in listed} == {
        name: preset.parameters() for name, preset in presets.PRESETS.items()
    }
    for preset in listed:
        assert preset.summary == presets.get(preset.name).summary
        assert (preset.cost.basis, preset.cost.host) == ("estimated", socket.gethostname())
        assert preset.cost.images_per_s > 0
    assert costs(services)["fast"].parameters == 3_077_912
    assert costs(services)["fast"].flops_per_image == 360_594_496


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_what_the_web_process_makes_of_a_request_the_worker_can_train(services: Services, name: str) -> None:
    announce(services)
    given: dict[str, Any] = {"preset": name, "epochs": 2, "seed": 3}
    preset, params, seed = presets.from_params(services.catalogue.resolve(given))
    assert (preset, params, seed) == (presets.get(name), preset.params.changed(epochs=2), 3)
    assert services.catalogue.resolve(given) == resolve({name: preset.parameters()}, given)


def test_what_is_announced_stays_until_redis_loses_it(services: Services, redis_client: Client) -> None:
    announce_missing(services)
    before = redis_client.get(keys.PRESETS)
    redis_client.set(keys.PRESETS, before.replace('"summary": "', '"summary": "Marked. '))
    announce_missing(services)
    assert all(preset.summary.startswith("Marked. ") for preset in services.catalogue.presets())
    redis_client.flushall()
    with pytest.raises(Unavailable, match="no training worker"):
        services.catalogue.presets()
    announce_missing(services)
    assert {preset.name for preset in services.catalogue.presets()} == set(presets.PRESETS)


def test_a_training_of_the_presets_own_network_tells_the_speed(services: Services) -> None:
    announce(services)
    fast = presets.get("fast")
    measured(services, fast, fast.params.changed(width1=4), 9999.0)
    assert costs(services)["fast"].basis == "estimated"
    measured(services, fast, fast.params.changed(epochs=1), 270.5)
    announce(services)
    cost = costs(services)["fast"]
    assert (cost.images_per_s, cost.basis, cost.host) == (270.5, "measured", socket.gethostname())


def test_the_estimate_is_the_machines_speed_over_three_passes() -> None:
    fast = presets.get("fast")
    speed = 10 * PASSES * fast.flops(fast.params) / fast.efficiency
    assert describe(fast, speed).cost.images_per_s == 10
    assert describe(fast, 2 * speed).cost.seconds_per_epoch == 2400


def test_a_machine_computes_something() -> None:
    assert machine_speed() > 1e6
