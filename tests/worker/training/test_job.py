"""The process of one training job, with a real Redis and a real folder: every way in which a job can end."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.domain.entities import Failure, JobState, Training, checkpoint_key
from shared.jobs.trainings import TrainingCommand
from shared.jobs.workers import Worker
from shared.redis import keys
from shared.services import Services
from tests.conftest import ROOT, wait_until
from worker.data.datasets import CIFAR10_SETTING
from worker.runtime.heartbeat import Heartbeat
from worker.serving.lacks import Lacks
from worker.training import job as training_job
from worker.training.supervisor import TrainingSupervisor

SMALL = {"preset": "seed", "epochs": 3, "batch_size": 64, "promote": "never", "base": None, "dataset": "cifar10"}
#: Weights grow tenfold with each of the two steps per epoch until float32 overflows.
EXPLODING = {"preset": "fast", "batch_size": 160, "epochs": 60, "learning_rate": 10, "head_learning_rate": 10,
             "weight_decay": 0.01, "norm_momentum": 0, "activation": "relu",
             "width1": 4, "width2": 4, "width3": 4}  # fmt: skip
#: Seconds for a training of a few steps; most of it is TensorFlow's start.
TRAINING_S = 900


@pytest.fixture
def environment(services: Services, squares_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment that `darkroom up` gives a worker."""
    monkeypatch.setenv("DARKROOM_REDIS_URL", services.settings.redis_url or "")
    monkeypatch.setenv("DARKROOM_DATA_DIR", str(services.settings.data_dir))
    monkeypatch.setenv("DARKROOM_CIFAR10", str(squares_file))


def submit(services: Services, **params: Any) -> str:
    return services.store.submit_training(SMALL | params, retention_s=3600)


def claim(services: Services) -> Training:
    training = services.trainings.claim("test")
    assert training is not None
    return training


def start(training: Training) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "worker.training.job", training.id, training.job_id]
    return subprocess.Popen(command, cwd=ROOT)


def run(training: Training) -> int:
    return start(training).wait(TRAINING_S)


def failure_of(services: Services, **params: Any) -> Failure:
    """Run a training with these parameters and return its failure."""
    job_id = submit(services, **params)
    assert training_job.run(services, claim(services)) == os.EX_OK
    failure = services.store.get(job_id).failure
    assert failure is not None
    return failure


def curve(services: Services, job_id: str) -> list[tuple[Any, ...]]:
    """Return the rows without times and speeds."""
    return [
        tuple(value for name, value in row.items() if name not in ("at", "images_per_s"))
        for row in services.trainings.rows(job_id, 0, 1000)
    ]


@pytest.mark.usefixtures("environment")
def test_a_job_whose_version_is_published_only_ends(services: Services) -> None:
    job_id = submit(services)
    shipped = services.registry.champion().version
    training = claim(services)
    services.trainings.plan_version(training, shipped)
    assert run(training) == os.EX_OK
    job = services.store.get(job_id)
    assert (job.state, job.model) == (JobState.SUCCEEDED, shipped)
    assert curve(services, job_id) == []


@pytest.mark.usefixtures("environment")
def test_a_training_that_diverges_fails_and_keeps_its_last_checkpoint(services: Services) -> None:
    job_id = submit(services, **EXPLODING)
    assert training_job.run(services, claim(services)) == os.EX_OK
    job = services.store.get(job_id)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.code == "diverged"
    assert services.blobs.exists(checkpoint_key(job_id))
    assert all(np.isfinite(row["loss"]) for row in services.trainings.rows(job_id, 0, 1000))


@pytest.mark.usefixtures("environment")
def test_a_missing_dataset_fails_the_job_and_says_what_to_do(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DARKROOM_CIFAR10", str(tmp_path / "gone.npz"))
    failure = failure_of(services)
    assert failure.code == "dataset"
    assert "DARKROOM_CIFAR10" in failure.detail


@pytest.mark.usefixtures("environment")
def test_a_base_of_another_network_fails_the_job(services: Services) -> None:
    failure = failure_of(services, base=services.registry.champion().version)
    assert failure.code == "not_trainable"
    assert "another network" in failure.detail


@pytest.mark.usefixtures("environment")
def test_unknown_parameters_fail_the_job(services: Services) -> None:
    assert "sharpness" in failure_of(services, sharpness=3).detail


@pytest.mark.usefixtures("environment")
def test_finishing_early_keeps_the_best_model(services: Services) -> None:
    job_id = submit(services, epochs=1000)
    with ThreadPoolExecutor(1) as thread:
        training = thread.submit(training_job.run, services, claim(services))
        wait_until(lambda: services.store.get(job_id).step, "the first row is there", TRAINING_S)
        assert services.trainings.finish(job_id)
        assert training.result(TRAINING_S) == os.EX_OK
    job = services.store.get(job_id)
    assert job.state is JobState.SUCCEEDED
    assert len(services.registry.card(job.model or "").history) < 1000
    assert job.step == job.steps, "no steps are left while it is measured"
    assert services.speeds.all()["seed"].images_per_s > 0


@pytest.mark.usefixtures("environment")
def test_a_network_of_another_size_records_no_speed(services: Services) -> None:
    job_id = submit(services, epochs=1, hidden_units=8)
    assert training_job.run(services, claim(services)) == os.EX_OK
    assert services.store.get(job_id).state is JobState.SUCCEEDED
    assert services.speeds.all() == {}


@pytest.mark.usefixtures("environment")
def test_a_process_that_lost_its_training_stops_and_writes_nothing(services: Services) -> None:
    job_id = submit(services, epochs=1000)
    lost = claim(services)
    with ThreadPoolExecutor(1) as thread:
        training = thread.submit(training_job.run, services, lost)
        wait_until(lambda: services.store.get(job_id).step, "the first row is there", TRAINING_S)
        services.chunks.release(lost.id, died=True)
        ours = claim(services)
        assert training.result(TRAINING_S) == os.EX_TEMPFAIL
    assert services.trainings.command(ours) is TrainingCommand.CONTINUE
    assert services.store.get(job_id).state is JobState.RUNNING


def test_no_training_is_queued(services: Services) -> None:
    heartbeat = Heartbeat(services.workers, services.chunks, lambda: pytest.fail("no heartbeat was started"))
    assert not TrainingSupervisor(services, heartbeat.renewing, "test", Lacks()).work()


@pytest.mark.usefixtures("environment")
def test_a_worker_without_the_data_leaves_trainings_to_others(
    services: Services, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Given another live worker that has the data, then nothing is claimed or failed; without one, the job fails."""
    job_id, lacks = submit(services, epochs=1), Lacks()
    heartbeat = Heartbeat(services.workers, services.chunks, lambda: pytest.fail("no heartbeat was started"))
    supervisor = TrainingSupervisor(services, heartbeat.renewing, "test", lacks)
    services.workers.record_heartbeat(Worker("other", ("train",), None))
    monkeypatch.setenv(CIFAR10_SETTING, str(tmp_path / "missing.npz"))
    assert not supervisor.work()
    assert services.store.get(job_id).state is JobState.QUEUED
    (lack,) = lacks.all()
    assert "missing.npz, which does not exist on this machine" in lack.reason
    (tmp_path / "missing.npz").write_bytes(b"damaged")
    assert supervisor.work()  # only its process finds out
    assert [lack.what for lack in lacks.all()] == ["cifar10"]
    assert services.redis.hgetall(keys.job(job_id, "deaths")) == {}
    services.workers.record_heartbeat(Worker("other", ("train",), None, lacks.all()))
    assert supervisor.work()
    assert services.store.get(job_id).failure.code == "dataset"
