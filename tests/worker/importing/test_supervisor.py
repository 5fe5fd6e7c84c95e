"""The importer: one process for each model, which may do whatever it likes but harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.models.import_queue import ImportResult, ImportStatus, ModelImport
from shared.services import Services
from tests.conftest import wait_until
from tests.models_kit import lambda_that_makes, saved, small_app
from tests.versions_kit import shipped
from worker.importing.supervisor import Importer

#: Seconds for a process that loads TensorFlow, on a machine that may be busy.
PATIENCE_S = 120
LABELS = ("a", "b", "ä")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(small_app(labels=3), tmp_path_factory.mktemp("model") / "cnn_model.h5")


@pytest.fixture
def importer(services: Services) -> Iterator[Importer]:
    importer = Importer(services)
    yield importer
    importer.stop()


def submit(services: Services, file: Path, **wishes) -> ModelImport:
    wanted = ModelImport("0" * 64, file.name, **wishes)
    with file.open("rb") as content:
        services.imports.submit(wanted, content)
    return wanted


def ended(services: Services, importer: Importer, wanted: ModelImport) -> ImportResult:
    """Turn until the import has ended; nothing of it is left."""

    def look() -> ImportResult | None:
        importer.turn()
        return services.imports.result(wanted.id)

    outcome = wait_until(look, f"{wanted.source} is answered", PATIENCE_S)
    assert list(services.settings.data_dir.glob("import-*")) == []
    assert services.blobs.keys("imports") == []
    assert children() == []
    return outcome


def children() -> list[psutil.Process]:
    """The processes that look at models."""
    found = psutil.Process().children(recursive=True)
    return [
        child for child in found if child.status() != psutil.STATUS_ZOMBIE and "worker.importing" in child.cmdline()
    ]


def test_a_model_becomes_a_version(services: Services, importer: Importer, model: Path) -> None:
    wanted = submit(services, model, labels=LABELS, value_range="0-255")
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.IMPORTED, outcome
    card = services.registry.card(outcome.detail)
    assert (card.labels, card.source, card.params["value_range"]) == (LABELS, "cnn_model.h5", "0-255")
    assert services.registry.model_file(card.version).stat().st_size == card.size.file_bytes
    assert services.registry.champion().version == shipped()  # importing promotes nobody


def test_a_model_that_runs_code_is_refused(services: Services, importer: Importer, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    wanted = submit(services, lambda_that_makes(marker, tmp_path / "model.keras"))
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.REFUSED
    assert "'sneaky' is a Lambda layer" in outcome.detail
    assert not marker.exists()


def test_a_turn_does_not_wait(services: Services, importer: Importer, model: Path) -> None:
    """The reconciler has other things to do while a model is loaded; and one model is looked at at a time."""
    submit(services, model, labels=LABELS)
    submit(services, model)
    for _ in range(5):
        importer.turn()
        assert len(children()) == 1, "the process is not waited for"


def test_the_process_gets_no_secrets(
    services: Services, importer: Importer, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_REDIS_URL", "redis://:secret@localhost/0")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    submit(services, model)
    importer.turn()
    (child,) = children()
    assert "secret" not in str(child.environ()) + str(child.cmdline())


def test_a_process_that_takes_too_long_is_ended(services: Services, model: Path) -> None:
    importer = Importer(services, timeout_s=0.2)
    outcome = ended(services, importer, submit(services, model))
    assert outcome == ImportResult(ImportStatus.REFUSED, "the model could not be imported within 0.2 s")


def test_a_process_that_dies_takes_nobody_with_it(services: Services, importer: Importer, model: Path) -> None:
    wanted = submit(services, model)
    importer.turn()
    (child,) = children()
    child.kill()
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.REFUSED
    assert "SIGKILL" in outcome.detail


def test_whoever_stops_ends_the_process_and_says_so(services: Services, importer: Importer, model: Path) -> None:
    wanted = submit(services, model)
    importer.turn()
    importer.stop()
    assert children() == []
    outcome = services.imports.result(wanted.id)
    assert outcome is not None
    assert outcome.status is ImportStatus.FAILED


def test_an_upload_that_is_gone_fails_and_the_next_one_goes_on(
    services: Services, importer: Importer, model: Path, tmp_path: Path
) -> None:
    lost = submit(services, model)
    services.blobs.delete_all("imports")
    (tmp_path / "no.keras").write_bytes(b"no model")
    following = submit(services, tmp_path / "no.keras")
    importer.turn()
    outcome = services.imports.result(lost.id)
    assert outcome is not None
    assert outcome.status is ImportStatus.FAILED
    outcome = ended(services, importer, following)
    assert outcome == ImportResult(ImportStatus.REFUSED, "this is neither a .keras nor a .h5 file")


def test_a_storage_that_fails_at_the_end_is_no_refusal(services: Services, importer: Importer, model: Path) -> None:
    """Given a version that cannot be stored, then whoever waits may try again."""
    wanted = submit(services, model, labels=LABELS)
    importer.turn()
    folder = services.settings.data_dir / "blobs" / "models"
    folder.symlink_to(folder)  # a loop: an error of the disk
    outcome = ended(services, importer, wanted)
    assert outcome.status is ImportStatus.FAILED
