"""The export supervisor: one child process for each export, as for imports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.models.exports import Export, ExportFormat, ExportProblem
from shared.redis import keys
from shared.services import Services
from tests.conftest import wait_until
from tests.versions_kit import shipped, version_folder
from worker.exporting.supervisor import MAX_CLAIMS, ExportSupervisor

#: Seconds for a process that loads TensorFlow, on a machine that may be busy.
PATIENCE_S = 900
SHIPPED = Export(shipped(), ExportFormat.OPENVINO)


def supervisor(services: Services, **options: float) -> ExportSupervisor:
    return ExportSupervisor(services.exports, services.registry, services.blobs.temporary_folder, **options)


@pytest.fixture
def exporter(services: Services) -> Iterator[ExportSupervisor]:
    exporter = supervisor(services)
    yield exporter
    exporter.stop()


def problem(services: Services, exporter: ExportSupervisor, export: Export) -> ExportProblem:
    """Poll until an export has failed; nothing of it is left, and nobody waits for it."""

    def poll() -> ExportProblem | None:
        exporter.poll()
        return services.exports.problem(export)

    found = wait_until(poll, f"{export.id} has failed", PATIENCE_S)
    assert list(services.settings.data_dir.glob("export-*")) == []
    assert services.redis.exists(keys.EXPORTS, f"{keys.EXPORTS}:claims") == 0
    return found


def test_what_the_child_says_is_the_reason(services: Services, exporter: ExportSupervisor, tmp_path: Path) -> None:
    version = services.registry.publish(version_folder(tmp_path)).version
    export = Export(version, ExportFormat.KERAS)
    services.exports.queue.ask(export.id)
    found = problem(services, exporter, export)
    assert found.final and found.detail.startswith("Keras cannot load the version")


def test_a_slow_export_is_killed(services: Services) -> None:
    services.exports.queue.ask(SHIPPED.id)
    found = problem(services, supervisor(services, timeout_s=0.1), SHIPPED)
    assert found == ExportProblem("the export took longer than 0.1 s", final=True)


def test_stopping_gives_the_export_to_another_reconciler(services: Services, exporter: ExportSupervisor) -> None:
    services.exports.queue.ask(SHIPPED.id)
    exporter.poll()
    exporter.stop()
    assert services.exports.problem(SHIPPED) is None
    assert services.redis.zrange(keys.EXPORTS, 0, -1) == [SHIPPED.id]
    assert services.redis.hget(f"{keys.EXPORTS}:claims", SHIPPED.id) == "0"


def test_an_export_that_kills_reconcilers_is_given_up(services: Services, exporter: ExportSupervisor) -> None:
    services.exports.queue.ask(SHIPPED.id)
    for _ in range(MAX_CLAIMS):
        services.exports.queue.claim()
        services.redis.zadd(keys.EXPORTS, {SHIPPED.id: 0})  # its lease expires
    assert f"died {MAX_CLAIMS} times" in problem(services, exporter, SHIPPED).detail


def test_a_version_that_is_gone_is_not_a_final_problem(services: Services, exporter: ExportSupervisor) -> None:
    export = Export("gone-20260101-00000000", ExportFormat.ONNX)
    services.exports.queue.ask(export.id)
    assert not problem(services, exporter, export).final
