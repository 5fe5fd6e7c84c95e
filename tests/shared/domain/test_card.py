import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.card import (
    Bin,
    Calibration,
    ClassMetrics,
    DatasetInfo,
    Epoch,
    Hardware,
    Input,
    Latency,
    Metrics,
    ModelCard,
    Size,
    Views,
)
from shared.domain.errors import InvalidRequest, NotFound
from shared.domain.preprocessing import PREPROCESSINGS

DIGEST = "1a2b3c4d" + "0" * 56


def class_metrics(label: str) -> ClassMetrics:
    return ClassMetrics(label=label, precision=0.5, recall=1, f1=2 / 3, support=1)


def make_card(**changes: Any) -> ModelCard:
    fields: dict[str, Any] = {
        "version": "seed-20261122-1a2b3c4d",
        "preset": "seed",
        "params": {"epochs": 8, "learning_rate": 1e-3},
        "labels": ("cat", "dog"),
        "input": Input(height=32, width=32, channels=3),
        "dataset": DatasetInfo(name="pets", digest=DIGEST, train=10, validation=2, test=2),
        "seed": 0,
        "code_version": "src-000000000000",
        "versions": {"python": "3.11.7", "keras": "3.15.1", "tensorflow": "2.21.0", "numpy": "2.4.6"},
        "hardware": Hardware(cpu="some processor", cores=2),
        "metrics": Metrics(
            accuracy=0.5,
            loss=1.0,
            per_class=(class_metrics("cat"), class_metrics("dog")),
            confusion_matrix=((1, 0), (1, 0)),
            calibration_error=0.1,
        ),
        "size": Size(file_bytes=1000, parameters=10),
        "latency": Latency(single_image_ms=1.5, batch_images_per_second=900, batch_size=256, repeats=30),
        "history": (Epoch(epoch=1, loss=1.0, accuracy=0.5, val_loss=1.0, val_accuracy=0.5, seconds=2),),
        "created_at": datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
        "file_sha256": DIGEST,
        "training_seconds": 2.0,
    }
    return ModelCard(**(fields | changes))


def test_a_written_card_reads_back_equal(tmp_path: Path) -> None:
    card = make_card()
    card.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json") == card


def test_parameters_keep_their_types(tmp_path: Path) -> None:
    params = {"epochs": 8, "rate": 1.0, "flip": True, "activation": "relu", "decay": None}
    make_card(params=params).write(tmp_path / "card.json")
    read = ModelCard.read(tmp_path / "card.json").params
    assert [(value, type(value)) for value in read.values()] == [(value, type(value)) for value in params.values()]


def test_the_time_is_written_as_rfc_3339_in_utc(tmp_path: Path) -> None:
    moment = datetime(2026, 11, 22, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    make_card(created_at=moment).write(tmp_path / "card.json")
    assert json.loads((tmp_path / "card.json").read_text())["created_at"] == "2026-11-22T12:00:00Z"


def test_writing_replaces_the_old_card_and_leaves_nothing_else(tmp_path: Path) -> None:
    make_card(seed=1).write(tmp_path / "card.json")
    make_card(seed=2).write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json").seed == 2
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "card.json").mkdir()
    with pytest.raises(OSError, match="directory"):
        make_card().write(tmp_path / "card.json")
    assert [path.name for path in tmp_path.iterdir()] == ["card.json"]


def test_a_missing_card_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no model card at seed-1/card\.json"):
        ModelCard.read(tmp_path / "seed-1" / "card.json")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "the file"),
        (b"{", "the file"),
        (b"[]", "the file"),
        (b"\xff\xfe", "the file"),
        (b"{}", "version"),
    ],
)
def test_an_invalid_card_is_an_error(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(InvalidRequest, match=f"is not a model card: {fault}"):
        ModelCard.read(tmp_path / "card.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "../seed-20261122-1a2b3c4d"}, "version"),
        ({"version": "seed-20261122-ffffffff"}, "first 8 digits"),
        ({"schema_version": 2}, "schema_version"),
        ({"labels": ("dog", "cat")}, "order of labels"),
        ({"labels": ()}, "labels"),
        ({"training_seconds": float("nan")}, "finite"),
        ({"versions": {"torch": "2"}}, "versions"),
        ({"created_at": datetime(2026, 11, 22)}, "timezone"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_an_inconsistent_card_is_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_card(**changes)


def test_a_confusion_matrix_of_another_size_is_rejected() -> None:
    metrics = make_card().metrics.model_copy(update={"confusion_matrix": ((1, 0),)})
    with pytest.raises(ValidationError, match="labels × labels"):
        make_card(metrics=metrics)


def test_a_card_of_an_older_darkroom_has_no_preprocessing() -> None:
    old = make_card().model_dump(mode="json", exclude={"preprocessing", "outputs", "notes"})
    assert ModelCard.model_validate(old).preprocessing == PREPROCESSINGS["0-255"]


def test_calibration_and_views_are_optional() -> None:
    card = make_card()
    assert (card.calibration, card.views, card.best_epoch) == (None, None, None)


def test_calibration_and_views_read_back(tmp_path: Path) -> None:
    curve = (Bin(upper=0.5, count=0, confidence=0, accuracy=0), Bin(upper=1, count=2, confidence=0.75, accuracy=0.5))
    calibration = Calibration(temperature=0.4, error_before=0.3, error_after=0.1, loss_before=1.5, reliability=curve)
    views = Views(served=6, single_accuracy=0.5, six_accuracy=1)
    card = make_card(calibration=calibration, views=views, best_epoch=1)
    card.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json") == card


def test_adaptive_views_read_back_with_their_threshold(tmp_path: Path) -> None:
    views = Views(served="adaptive", threshold=0.86, share=0.13, single_accuracy=0.5, six_accuracy=1)
    make_card(views=views).write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json").views == views


@pytest.mark.parametrize(
    "views", [{"served": "adaptive"}, {"served": 1, "threshold": 0.5}, {"served": 6, "share": 0.5}]
)
def test_inconsistent_views_are_rejected(views: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="belong to adaptive views"):
        Views(single_accuracy=0.5, six_accuracy=1, **views)


def test_the_card_of_an_import_may_be_incomplete(tmp_path: Path) -> None:
    unknown = dict.fromkeys(["metrics", "dataset", "seed", "code_version", "training_seconds"])
    card = make_card(**unknown, history=(), source="model.h5", source_sha256=DIGEST)
    card.write(tmp_path / "card.json")
    assert ModelCard.read(tmp_path / "card.json") == card


def test_a_card_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_card().seed = 3
