"""The import supervisor: one child process per model, which can do no harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from shared.domain.classifier import Classifier
from shared.domain.preprocessing import PREPROCESSINGS
from shared.models.import_queue import ImportResult, ImportStatus, ModelImport
from shared.redis import keys
from shared.services import Services
from tests.conftest import START_STOP_S, wait_until
from tests.models_kit import lambda_that_makes, saved, small_app
from tests.versions_kit import shipped
from tests.worker.importing.onnx_kit import LABELS as FRUIT
from tests.worker.importing.onnx_kit import onnx_model
from worker.importing.supervisor import ImportSupervisor

LABELS = ("a", "b", "ä")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(small_app(labels=3), tmp_path_factory.mktemp("model") / "cnn_model.h5")


def supervisor(services: Services, **options: float) -> ImportSupervisor:
    return ImportSupervisor(services.imports, services.registry, services.blobs.temporary_folder, **options)


@pytest.fixture
def importer(services: Services) -> Iterator[ImportSupervisor]:
    importer = supervisor(services)
    yield importer
    importer.stop()


def submit(services: Services, file: Path, **wishes) -> ModelImport:
    wanted = ModelImport("0" * 64, file.name, **wishes)
    with file.open("rb") as content:
        services.imports.submit(wanted, content)
    return wanted


def ended(services: Services, importer: ImportSupervisor, wanted: ModelImport) -> ImportResult:
    """Poll until the import has ended; no file or process of it is left."""

    def poll() -> ImportResult | None:
        importer.poll()
        return services.imports.result(wanted.id)

    outcome = wait_until(poll, f"{wanted.source} has a result", START_STOP_S)
    assert list(services.settings.data_dir.glob("import-*")) == []
    assert services.blobs.keys("imports") == []
    assert children() == []
    return outcome


def children() -> list[psutil.Process]:
    """The processes that import models."""
    found = psutil.Process().children(recursive=True)
    return [
        child for child in found if child.status() != psutil.STATUS_ZOMBIE and "worker.importing" in child.cmdline()
    ]


def test_a_model_becomes_a_version(services: Services, importer: ImportSupervisor, model: Path) -> None:
    wanted = submit(services, model, labels=LABELS, preprocessing=PREPROCESSINGS["0-255"])
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.IMPORTED, outcome
    card = services.registry.card(outcome.detail)
    assert (card.labels, card.source, card.params["value_range"]) == (LABELS, "cnn_model.h5", "0-255")
    assert services.registry.model_file(card.version).stat().st_size == card.size.file_bytes
    assert services.registry.champion().version == shipped()  # an import promotes nothing


def test_a_model_gets_a_classifier_of_its_own(services: Services, importer: ImportSupervisor, tmp_path: Path) -> None:
    """Its first version is the champion; one with other Labels is not taken."""
    file = tmp_path / "net.onnx"
    file.write_bytes(onnx_model().SerializeToString())
    wishes: dict[str, Any] = {"preprocessing": PREPROCESSINGS["0-1"], "resize": "crop", "owner": "anna", "own": "net"}
    outcome = ended(services, importer, submit(services, file, labels=FRUIT, **wishes))
    assert outcome.status is ImportStatus.IMPORTED, outcome
    card, fruit = services.registry.card(outcome.detail), Classifier("net", "anna")
    assert card.preprocessing == PREPROCESSINGS["0-1"].model_copy(update={"resize": "crop"})
    assert (card.belongs_to, services.registry.alias(fruit).version) == (fruit, card.version)
    other = submit(services, file, labels=FRUIT[::-1], classifier="net", **wishes)
    outcome = ended(services, importer, other)
    assert outcome.status is ImportStatus.REFUSED
    assert outcome.detail.startswith("classifier: net has other labels")
    outcome = ended(services, importer, submit(services, file, labels=FRUIT, classifier="cifar10", **wishes))
    assert outcome.detail.startswith("classifier: cifar10 has other labels")


def test_a_model_that_runs_code_is_refused(services: Services, importer: ImportSupervisor, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    wanted = submit(services, lambda_that_makes(marker, tmp_path / "model.keras"))
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.REFUSED
    assert "'sneaky' is a Lambda layer" in outcome.detail
    assert not marker.exists()


def test_polling_does_not_wait_for_the_child(services: Services, importer: ImportSupervisor, model: Path) -> None:
    """The reconciler has other things to do while a model loads; and models are imported one at a time."""
    wanted = submit(services, model, labels=LABELS)
    submit(services, model)
    for _ in range(5):
        importer.poll()
    assert len(wait_until(children, "the import runs")) == 1
    services.redis.expire(keys.imported(wanted.id), 1)
    importer.poll()
    assert services.redis.ttl(keys.imported(wanted.id)) > 1, "it renews the lease of the import that runs"


def test_the_process_gets_no_secrets(
    services: Services, importer: ImportSupervisor, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_REDIS_URL", "redis://:secret@localhost/0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    submit(services, model)
    importer.poll()
    (child,) = wait_until(children, "the import runs")
    assert "secret" not in str(child.environ()) + str(child.cmdline())


def test_a_slow_import_is_killed(services: Services, model: Path) -> None:
    importer = supervisor(services, timeout_s=0.2)
    outcome = ended(services, importer, submit(services, model))
    assert outcome.status is ImportStatus.REFUSED
    assert "0.2 s" in outcome.detail


def test_a_killed_child_refuses_the_model(services: Services, importer: ImportSupervisor, model: Path) -> None:
    wanted = submit(services, model)
    importer.poll()
    (child,) = children()
    child.kill()
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.REFUSED
    assert "SIGKILL" in outcome.detail


def test_stopping_kills_the_child_and_fails_the_import(
    services: Services, importer: ImportSupervisor, model: Path
) -> None:
    wanted = submit(services, model)
    importer.poll()
    importer.stop()
    assert children() == []
    outcome = services.imports.result(wanted.id)
    assert outcome is not None
    assert outcome.status is ImportStatus.FAILED


def test_a_missing_upload_fails_and_the_next_import_runs(
    services: Services, importer: ImportSupervisor, model: Path, tmp_path: Path
) -> None:
    lost = submit(services, model)
    services.blobs.delete_all("imports")
    (tmp_path / "no.keras").write_bytes(b"no model")
    following = submit(services, tmp_path / "no.keras")
    importer.poll()
    outcome = services.imports.result(lost.id)
    assert outcome is not None
    assert outcome.status is ImportStatus.FAILED
    outcome = ended(services, importer, following)
    assert outcome.status is ImportStatus.REFUSED
    assert ".keras" in outcome.detail and ".h5" in outcome.detail


def test_a_storage_error_is_not_a_refusal(services: Services, importer: ImportSupervisor, model: Path) -> None:
    """Given a version that cannot be stored, then the import fails and may be tried again."""
    wanted = submit(services, model, labels=LABELS, preprocessing=PREPROCESSINGS["0-1"])
    importer.poll()
    folder = services.settings.data_dir / "blobs" / "models"
    folder.symlink_to(folder)  # a loop: an error of the disk
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.FAILED
