"""Training jobs in the running service: the API, kills and cancellation."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cli.stack.embedded_redis import redis_server_path
from shared.domain.entities import JobState, Queue
from shared.jobs.messenger import celery_app
from shared.services import Services
from shared.settings import Settings
from tests.cli.kit import darkroom
from tests.conftest import ROOT, START_STOP_S, Service, running_redis, wait_until
from tests.integration.helpers import png, submit
from tests.integration.trainings_kit import (
    ENDLESS,
    TRAINING_S,
    ended,
    rows,
    status,
    train,
    trainers,
    wait_for_rows,
)
from tests.versions_kit import services_of, shipped

#: Trains long enough to be killed in the middle.
SHORT = {"preset": "seed", "epochs": 8, "batch_size": 8, "seed": 5, "hidden_units": 32, "promote": "if_better"}


@pytest.fixture(scope="module", autouse=True)
def no_versions_left(service: Service) -> Iterator[None]:
    """Delete the trained versions afterwards."""
    with services_of(service):
        yield


@pytest.fixture(scope="module")
def followed(service: Service, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Run a short, undisturbed training from the command line."""
    words = [word for name, value in SHORT.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return darkroom(service.url, tmp_path_factory.mktemp("home"), "train", *words, "--watch")


@pytest.fixture(scope="module")
def whole(service: Service, followed: subprocess.CompletedProcess[str]) -> str:
    """Return that training."""
    assert followed.returncode == 0, followed.stderr
    with service.client() as http:
        return http.get("/v1/jobs", params={"kind": "training", "limit": 1}).json()["data"][0]["id"]


def test_a_training_is_started_and_followed_from_the_command_line(
    service: Service, followed: subprocess.CompletedProcess[str], whole: str, tmp_path: Path
) -> None:
    head, *lines = followed.stdout.splitlines()
    assert re.split("  +", head) == ["EPOCH", "LOSS", "ACCURACY", "VAL LOSS", "VAL ACCURACY", "IMAGES/S"]
    assert [line.split()[0] for line in lines[:8]] == list("12345678")
    share = r"[01]\.\d{4}"
    accuracy = rf"test accuracy {share} \(95 % interval: {share} to {share}\)"
    (version,) = re.fullmatch(rf"(seed-\S+): {accuracy}\. Not promoted: .+", lines[-2]).groups()
    assert lines[-1] == f"To promote it all the same: ./darkroom classifiers promote cifar10 {version}"
    assert followed.stderr == ""
    document = json.loads(darkroom(service.url, tmp_path, "jobs", "watch", whole, "-o", "json").stdout)
    assert document["job"]["model"] == version and document["metrics"][-1]["epoch"] == 8
    other = darkroom(service.url, tmp_path, "models", "compare", shipped(), version)
    assert other.returncode == 1 and "not measured on the same test images" in other.stderr


def test_a_training_runs_and_its_model_can_be_seen_and_had(http: httpx.Client, whole: str) -> None:
    job = status(http, whole)
    assert (job["kind"], job["state"], job["error"]) == ("training", "succeeded", None)
    assert (job["progress"], job["eta_s"], job["counts"]["total"]) == (1.0, None, 0)
    assert job["promotion"]["promoted"] is False
    assert "the champion stays" in job["promotion"]["reason"]
    assert job["params"] | SHORT == job["params"]
    found = rows(http, whole)
    assert [row["n"] for row in found] == list(range(1, len(found) + 1))
    assert rows(http, whole, after=len(found) - 1) == found[-1:]
    assert sum(row["val_accuracy"] is not None for row in found) == SHORT["epochs"]
    card = http.get(f"/v1/models/{job['model']}").json()
    assert (card["version"], card["seed"], card["params"]["epochs"]) == (job["model"], SHORT["seed"], SHORT["epochs"])
    assert job["model"] in [model["version"] for model in http.get("/v1/models").json()["data"]]
    assert http.get(f"/v1/models/{job['model']}/file").content[:2] == b"PK"
    assert http.get(f"/v1/jobs/{whole}/results").json() == {"data": [], "next": None, "done": True}
    assert http.post(f"/v1/jobs/{whole}/finish").status_code == 200
    assert http.post(f"/v1/jobs/{whole}/cancel").status_code == 200
    assert http.post(f"/v1/jobs/{whole}/retry").status_code == 409


def test_the_log_of_a_training_names_the_request_that_asked_for_it(service: Service, whole: str) -> None:
    def about(program: str) -> list[dict[str, Any]]:
        text = (service.data_dir / "run" / "log" / f"{program}.log").read_text()
        found = [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]
        return [line for line in found if line.get("job_id") == whole]

    asked = [line["request_id"] for line in about("web") if line.get("method") == "POST" and line["status"] == 202]
    told = [line["request_id"] for line in about("train") if line["logger"] == "darkroom.train"]
    assert len(asked) == 1 and set(told) == set(asked)


def test_a_training_that_is_cancelled_then_killed_ends_as_if_it_had_not_been(
    service: Service, http: httpx.Client, whole: str
) -> None:
    job_id = train(http, **SHORT)
    wait_until(lambda: any(row["epoch"] == 2 for row in rows(http, job_id)), "a checkpoint is there", TRAINING_S)
    assert len(trainers(service, job_id)) == 1
    answer = http.post(f"/v1/jobs/{job_id}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    job = ended(http, job_id)
    assert (job["state"], job["model"]) == ("cancelled", None)
    assert trainers(service, job_id) == []
    seen = rows(http, job_id)
    assert http.post(f"/v1/jobs/{job_id}/retry").status_code == 202
    wait_until(lambda: len(rows(http, job_id)) > len(seen), "it goes on", TRAINING_S)
    assert rows(http, job_id)[0] == seen[0]  # from the checkpoint, not from the beginning

    (trainer,) = trainers(service, job_id)
    for process in (trainer.parent(), trainer):
        process.kill()
    assert ended(http, job_id)["state"] == "succeeded"
    assert curve(rows(http, job_id)) == curve(rows(http, whole))


def curve(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows without timestamps and speed."""
    return [{name: value for name, value in row.items() if name not in ("at", "images_per_s")} for row in found]


def test_pictures_do_not_wait_for_a_training_but_another_one_does(service: Service, http: httpx.Client) -> None:
    """Later the training ends early, and its version is promoted."""
    before = http.get("/v1/models/aliases").json()["champion"]["version"]
    first, second = train(http, **ENDLESS, promote="always"), train(http, **ENDLESS)
    wait_for_rows(http, first)
    pictures = [(f"{n}.png", png(n)) for n in range(40)]
    for few in (pictures[:1], pictures):
        answer = http.get(f"/v1/jobs/{submit(http, *few)}", params={"wait": 20}).json()
        done = wait_until(
            lambda id_=answer["id"]: (job := status(http, id_))["done"] and job, "pictures are classified"
        )
        assert done["counts"]["succeeded"] == len(few)

    waiting = status(http, second)
    assert (waiting["state"], waiting["queue_position"], waiting["progress"]) == ("queued", 0, 0)
    assert http.post(f"/v1/jobs/{second}/finish").status_code == 409
    assert trainers(service, second) == []
    assert http.post(f"/v1/jobs/{second}/cancel").json()["state"] == "cancelled"

    running = status(http, first)
    assert running["state"] == "running"
    assert 0 < running["progress"] < 1
    assert running["eta_s"] > 0
    assert http.delete(f"/v1/jobs/{first}").status_code == 409
    # An early end keeps the best model.
    assert http.post(f"/v1/jobs/{first}/finish").status_code == 202
    job = ended(http, first)
    assert job["state"] == "succeeded"
    card = http.get(f"/v1/models/{job['model']}").json()
    assert 1 <= len(card["history"]) < ENDLESS["epochs"]
    # The version serves the next job, and outlives its own.
    assert job["promotion"]["promoted"] is True
    assert http.get("/v1/models/aliases").json()["champion"]["version"] == job["model"]
    answer = http.post("/v1/jobs", content=png(), headers={"Content-Type": "image/png", "Prefer": "wait=20"})
    assert (answer.json()["model"], answer.json()["state"]) == (job["model"], "succeeded")
    answer = http.put("/v1/models/aliases/champion", json={"version": before}, headers={"If-Match": "*"})
    assert answer.status_code == 200
    assert http.delete(f"/v1/jobs/{first}").status_code == 204
    assert http.get(f"/v1/models/{job['model']}").status_code == 200


WRONG = {
    "unknown preset": ({"preset": "huge"}, "/params/preset"),
    "unknown parameter": ({"sharpness": 1}, "/params/sharpness"),
    "out of range": ({"epochs": 0}, "/params/epochs"),
    "too many": ({"epochs": 10**30}, "/params/epochs"),
    "no number": ({"learning_rate": "fast"}, "/params/learning_rate"),
    "a flag for a number": ({"batch_size": True}, "/params/batch_size"),
    "null": ({"preset": None}, "/params/preset"),
    "a list": ({"augment": [1]}, "/params/augment"),
    "unknown data set": ({"dataset": "imagenet"}, "/params/dataset"),
    "unknown rule": ({"promote": "perhaps"}, "/params/promote"),
    "unknown base": ({"base": "seed-20200101-00000000"}, "/params/base"),
    "a path as base": ({"base": "../../etc"}, "/params/base"),
    "unknown teacher": ({"preset": "distil", "teacher": "seed-20200101-00000000"}, "/params/teacher"),
    "a teacher of a preset without one": ({"preset": "fast", "teacher": "seed-20200101-00000000"}, "/params/teacher"),
    "seed below zero": ({"seed": -1}, "/params/seed"),
}


@pytest.mark.parametrize(("params", "pointer"), WRONG.values(), ids=WRONG)
def test_a_wrong_parameter_is_named(http: httpx.Client, params: dict[str, Any], pointer: str) -> None:
    answer = http.post("/v1/jobs", json={"kind": "training", "params": params})
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_base_of_another_preset_is_refused(http: httpx.Client) -> None:
    base = http.get("/v1/models/aliases").json()["champion"]["version"]
    other = next(name for name in ("classic", "wide") if not base.startswith(name))
    answer = http.post("/v1/jobs", json={"kind": "training", "params": {"preset": other, "base": base}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/params/base"


def test_only_trainings_have_rows_an_early_end_and_params(http: httpx.Client) -> None:
    job_id = submit(http, ("a.png", png()))
    assert http.get(f"/v1/jobs/{job_id}/metrics").status_code == 409
    assert http.post(f"/v1/jobs/{job_id}/finish").status_code == 409
    assert http.get(f"/v1/jobs/{'0' * 32}/metrics").status_code == 404
    assert http.post(f"/v1/jobs/{'0' * 32}/finish").status_code == 404
    assert http.get(f"/v1/jobs/{job_id}/metrics", params={"after": "x"}).status_code == 422
    assert http.post("/v1/jobs", json={"kind": "classification", "params": {"epochs": 1}}).status_code == 422


@contextmanager
def train_worker(
    data_dir: Path, redis_url: str, cifar10: Path, app: str = "worker.runtime.app", processes: int = 1
) -> Iterator[None]:
    """Run a Celery worker for trainings only."""
    environment = {**os.environ, "DARKROOM_REDIS_URL": redis_url, "DARKROOM_DATA_DIR": str(data_dir)}
    environment |= {"DARKROOM_CIFAR10": str(cifar10)}
    command = [sys.executable, "-m", "celery", "--app", app, "worker", "--queues", "train", "--pool", "prefork"]
    worker = subprocess.Popen([*command, "--concurrency", str(processes)], cwd=ROOT, env=environment)
    try:
        yield
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(START_STOP_S)


def test_a_training_longer_than_the_visibility_timeout_runs_once(tmp_path: Path, small_cifar10: Path) -> None:
    """Celery's transport redelivers messages that are not acknowledged in time, here after a second.

    A task with late acknowledgement proves this: it runs twice at once. The training started before it, and two more
    processes could start it again.
    """
    with running_redis(redis_server_path(), tmp_path) as url:
        services = Services.build(Settings(redis_url=url, data_dir=tmp_path))
        params = {**ENDLESS, "promote": "never", "base": None, "dataset": "cifar10"}
        job_id = services.store.submit_training(params, retention_s=3600)
        services.messenger.wake_workers(Queue.TRAIN, 4)
        with train_worker(tmp_path, url, small_cifar10, "tests.integration.impatient_broker", processes=3):
            wait_until(lambda: services.trainings.rows(job_id, 0, 1), "the first row is there", TRAINING_S)
            with celery_app(services.settings.resolved_broker_url()) as app:
                app.send_task("late", queue=Queue.TRAIN)
            seen: set[int] = set()

            def again() -> bool:
                seen.update(process.pid for process in psutil.process_iter() if runs(process, job_id))
                return int(services.redis.get("late") or 0) >= 2

            wait_until(again, "the other task is begun again", TRAINING_S)
            assert len(seen) == 1
            services.store.cancel(job_id)
            wait_until(lambda: services.store.get(job_id).state is JobState.CANCELLED, "it is cancelled")
        services.close()


def runs(process: psutil.Process, job_id: str) -> bool:
    try:
        return job_id in process.cmdline()
    except psutil.Error:
        return False
