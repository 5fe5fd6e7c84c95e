"""`POST /v1/models` of the running service: from a file to a version that classifies, or the reason for a refusal."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from shared.domain.card import ModelCard
from shared.models.import_queue import ImportResult, ImportStatus
from shared.redis import keys
from shared.services import Services
from tests.conftest import Service, wait_until
from tests.integration.helpers import MULTIPART, cifar10, exchange, finished, head, png, problem, results, submit
from tests.models_kit import lambda_that_makes, small_app_answers, small_app_file, small_app_of_keras_2
from tests.versions_kit import services_of
from tests.worker.kit import threads
from web.uploads import model_import as web_imports

__all__ = ["threads"]  # the models are built in this process


@pytest.fixture
def parts(service: Service) -> Iterator[Services]:
    """Return the service's parts; remove imported models afterwards."""
    with services_of(service) as services:
        yield services


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def post(http: httpx.Client, file: Path, **fields: str) -> httpx.Response:
    """Import a file; `fields` are the other parts of the form."""
    return http.post("/v1/models", files=[("file", (file.name, file.read_bytes()))], data=fields)


@pytest.mark.usefixtures("parts")
def test_a_model_is_imported_promoted_and_classifies(http: httpx.Client, tmp_path: Path) -> None:
    file = small_app_of_keras_2(tmp_path / "cnn_model.h5")
    began = time.monotonic()
    answer = post(http, file, value_range="0-1", resize="crop")
    print(f"importing {file.name} took {time.monotonic() - began:.1f} s")
    assert answer.status_code == 201, answer.text
    model = answer.json()
    assert answer.headers["Location"] == model["links"]["self"] == f"/v1/models/{model['version']}"
    assert (model["preset"], model["source"], model["champion"]) == ("imported", file.name, False)
    assert model["metrics"] and http.get(model["links"]["confusions"]).status_code == 200
    assert http.get(answer.headers["Location"]).json() == model

    assert model["notes"][0] == "Pixel values: 0 to 1, as given."
    assert model["preprocessing"]["resize"] == "crop" and "cropped" in model["notes"][1]
    again = post(http, file.rename(file.with_stem("another_name")), value_range="0-1", resize="crop")
    assert (again.status_code, again.json()["version"]) == (200, model["version"])

    seen = http.get("/v1/models/aliases").headers["ETag"]
    promoted = http.put("/v1/models/aliases/champion", json={"version": model["version"]}, headers={"If-Match": seen})
    assert promoted.status_code == 200, promoted.text
    pictures = cifar10()[:5]
    job = finished(http, submit(http, *pictures))
    assert (job["model"], job["counts"]["succeeded"]) == (model["version"], 5)
    best = {item["filename"]: item["predictions"][0] for item in results(http, job["id"])}
    expected = small_app_answers(np.stack([_pixels(content) for _, content in pictures]))
    for (picture, _), scores in zip(pictures, expected, strict=True):
        assert best[picture]["index"] == scores.argmax()
        assert best[picture]["score"] == pytest.approx(scores.max(), abs=1e-4)
    assert http.get("/").status_code == 200


def _pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.usefixtures("parts")
def test_a_refused_model_says_why_at_once_the_second_time(http: httpx.Client, tmp_path: Path, service: Service) -> None:
    marker = tmp_path / "marker"
    file = lambda_that_makes(marker, tmp_path / "model.h5")
    for _ in range(2):
        body = problem(post(http, file), 422)
        assert "'sneaky' is a Lambda layer" in body["detail"]
        assert [fault["pointer"] for fault in body["errors"]] == ["/file"]
    assert not marker.exists()
    assert "imported" not in {model["preset"] for model in http.get("/v1/models").json()["data"]}
    assert list((service.data_dir / "blobs").glob("imports/*")) == []


WRONG = [
    ({"labels": "a, b"}, 400, None),
    ({"labels": '["a"]'}, 422, "/labels"),
    ({"labels": '["a", "a"]'}, 422, "/labels"),
    ({"labels": '["a", "", "c"]'}, 422, "/labels/1"),
    ({"labels": '["a", 3, "c"]'}, 422, "/labels/1"),
    ({"labels": '{"a": 1}'}, 422, "/labels"),
    ({"labels": json.dumps([str(n) for n in range(1001)])}, 422, "/labels"),
    ({"labels": json.dumps(["x" * 65, "b", "c"])}, 422, "/labels/0"),
    ({"value_range": "0-2"}, 422, "/value_range"),
    ({"value_range": "0-1", "scale": "2"}, 422, "/value_range"),
    ({"scale": "[1, 2]"}, 422, "/scale/2"),
    ({"scale": '"1"'}, 422, "/scale"),
    ({"scale": "[1, 2, 1e999]"}, 400, None),
    ({"offset": "[1, 2, null]"}, 422, "/offset/2"),
    ({"channels": "GRB"}, 422, "/channels"),
    ({"resize": "stretch"}, 422, "/resize"),
    ({"colour": "red"}, 422, "/colour"),
    ({"classifier": "My Fruit"}, 422, "/classifier"),
    ({"classifier": "everyday"}, 422, "/classifier"),
    ({"name": "x" * 5000}, 413, None),
    ({"labels": json.dumps("x" * 300_000)}, 413, None),
]


@pytest.mark.parametrize(("fields", "status", "pointer"), WRONG)
def test_a_wrong_part_is_named(
    http: httpx.Client, folder: Path, fields: dict[str, str], status: int, pointer: str | None
) -> None:
    file = folder / "any.keras"
    file.write_bytes(b"PK\x03\x04")
    body = problem(post(http, file, **fields), status)
    assert [fault["pointer"] for fault in body.get("errors", [])] == ([pointer] if pointer else [])
    assert "Value error" not in json.dumps(body), "a word of the library's"


@pytest.mark.parametrize("content", [b"no model", png(), b"\x89HDF"])
def test_a_file_that_is_not_a_model_is_refused_at_once(http: httpx.Client, folder: Path, content: bytes) -> None:
    file = folder / "no.keras"
    file.write_bytes(content)
    assert "this is not a .keras, .h5, .onnx or .tflite file" in problem(post(http, file), 422)["detail"]


def test_a_model_needs_a_file(http: httpx.Client, folder: Path) -> None:
    empty = folder / "empty.keras"
    empty.touch()
    for answer in (
        post(http, empty),
        http.post("/v1/models", files=[("labels", (None, b'["a", "b"]'))]),
        http.post("/v1/models", files=[("files", ("a.keras", b"PK\x03\x04"))]),
        http.post("/v1/models", data={"file": "PK"}, files=[("file", (None, b"PK\x03\x04"))]),
    ):
        problem(answer, 422)
    nameless = http.post("/v1/models", files=[("file", (None, b"PK\x03\x04"))])
    assert problem(nameless, 422)["detail"].startswith("the part `file` has no file name")
    two = [("file", (name, b"PK\x03\x04")) for name in ("a.keras", "b.keras")]
    problem(http.post("/v1/models", files=two), 422)
    problem(http.post("/v1/models", content=b"PK\x03\x04", headers={"Content-Type": "application/zip"}), 415)
    problem(http.post("/v1/models", json={}), 415)


def test_a_model_over_the_limit_is_refused_by_its_length(service: Service) -> None:
    """The head is enough to reject it: the body is not sent."""
    length = web_imports.MAX_MODEL_BYTES + web_imports.OVERHEAD_BYTES + 1
    problem(exchange(service, head(length, MULTIPART, "/v1/models")), 413)


def reconciler(service: Service) -> psutil.Process:
    children = psutil.Process(service.process.pid).children(recursive=True)
    return next(child for child in children if "worker.reconcile" in child.cmdline())


def test_the_service_goes_on_while_a_model_is_imported(
    service: Service, http: httpx.Client, parts: Services, folder: Path
) -> None:
    """Given a stopped importer, then jobs still run, and only a limited number of requests wait for it.

    One that comes when the importer works again is imported, with its parameters.
    """
    file = small_app_file(folder / "four.keras", 4)
    fields = {"value_range": "0-255", "name": "Anna's network"}
    labels = [json.dumps([prefix, "ä", "c", "d"]) for prefix in "klmnop"]
    process = reconciler(service)
    process.suspend()
    try:
        with ThreadPoolExecutor(len(labels)) as pool, service.client() as client:
            asked = [pool.submit(post, client, file, labels=text, **fields) for text in labels]
            wait_until(lambda: parts.redis.llen(keys.IMPORTS) == waiting(asked) < len(asked), "some are turned away")
            for one in asked:
                if one.done():
                    assert "send this one again" in problem(one.result(), 503)["detail"]
                    assert int(one.result().headers["Retry-After"]) >= 1
            assert finished(http, submit(http, ("a.png", png())))["state"] == "succeeded"
            # What waits goes to a stopped importer, since each real import takes seconds.
            while (taken := parts.imports.take()) is not None:
                parts.imports.finish(taken, ImportResult(ImportStatus.FAILED, "the importer was stopped"))
            assert {one.result().status_code for one in asked} == {503}
    finally:
        process.resume()
    names = ["q", "ä", "c", "d"]
    later = post(http, file, labels=json.dumps(names), **fields)
    assert later.status_code == 201, later.text
    model = later.json()
    assert (model["labels"], model["source"]) == (names, "Anna's network")
    assert (model["classifier"], model["champion"]) == ("anna-s-network", True)
    assert (model["params"]["value_range"], model["params"]["value_range_basis"]) == ("0-255", "given")
    assert (model["metrics"], model["links"]["confusions"]) == (None, None)  # with other labels than the dataset's
    ModelCard.model_validate({name: value for name, value in model.items() if name not in ("champion", "links")})
    assert http.get("/v1/models").json()["data"][0] == model


def waiting(asked: list[Future[httpx.Response]]) -> int:
    """Return the number of requests without a response."""
    return sum(not one.done() for one in asked)
