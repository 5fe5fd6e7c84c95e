"""`GET /v1/corrections`, and training on too few corrections."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from shared.services import Services
from tests.corrections_kit import corrected
from tests.fixtures import make
from web.app import create_app

CATS = {path.stem: path.read_bytes() for path in make.CIFAR10.glob("cat-*.png")}
DOGS = {path.stem: path.read_bytes() for path in make.CIFAR10.glob("dog-*.png")}
TRAINING = {"kind": "training", "params": {"dataset": "cifar10+corrections"}}


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services).test_client()


def test_corrected_pictures_are_counted_once_by_label(services: Services, web: FlaskClient) -> None:
    for _ in range(2):
        job = corrected(services, CATS)
    corrected(services, DOGS)
    corrected(services, {f"dog-as-{key}": content for key, content in list(CATS.items())[:1]})
    answer = web.get("/v1/corrections").json
    assert (answer["total"], answer["needed"]) == (7, 8)
    assert {label: count for label, count in answer["per_label"].items() if count} == {"cat": 3, "dog": 4}
    services.corrections.put(job, dict.fromkeys(CATS))
    assert web.get("/v1/corrections").json["total"] == 7  # another job still has them
    assert web.get("/v1/corrections?label=cat").status_code == 422


def test_a_training_on_too_few_is_refused_with_the_reason(services: Services, web: FlaskClient) -> None:
    corrected(services, {**CATS, **dict(list(DOGS.items())[:3])})
    answer = web.post("/v1/jobs", json=TRAINING)
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    (fault,) = answer.json["errors"]
    assert fault["pointer"] == "/params/dataset"
    assert "7 corrected pictures" in fault["detail"] and "8" in fault["detail"]
    corrected(services, DOGS)
    assert web.post("/v1/jobs", json=TRAINING).status_code == 202
