"""A training that is killed in each of its phases makes the same version as an undisturbed one."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.stack.embedded_redis import redis_server_path
from shared.domain.card import MODEL_FILE, OPENVINO_FILE, PREDICTIONS_FILE, ModelCard
from shared.domain.entities import Job, JobState, checkpoint_key
from shared.models.versions import PREFIX
from shared.redis import keys
from shared.services import Services
from shared.settings import Settings
from tests.conftest import ROOT, START_STOP_S, running_redis, wait_until
from tests.faults.kit import words
from tests.faults.mortal import DEATHS, Fate

PARAMS = {"preset": "seed", "epochs": 2, "batch_size": 64, "seed": 7, "promote": "always", "base": None}
#: The file with the weights in the archive that OpenVINO loads.
WEIGHTS = "network.bin"
#: Rows of one epoch of the small dataset; the last comes with a checkpoint.
ROWS = 6
#: Seconds in which a training ends by itself, whatever the faults: two leases, and a start after each death.
ENDS_S = 900

#: Deaths before the version exists. MAX_DEATHS of them without a new row in between would fail the training.
MAKING = (
    "worker after row 2",  # in mid-epoch, before the first checkpoint
    "process after checkpoint",  # the first one, before the row that comes with it
    "process half of checkpoint",  # the second one, which replaces the first; five rows are lost
    "process half of openvino.zip",  # one file of the version exists
    "worker before card.json",  # all but its card, which is written last
)
#: Deaths once it exists: before and after its promotion, and after the checkpoint's deletion.
PROMOTING = ("worker after card.json", "process after promotion", "process before end")


@dataclass
class Ended:
    """A finished training, and by how much the alias's revision grew."""

    job: Job
    rows: list[dict[str, Any]]
    card: ModelCard
    weights: bytes
    answers: bytes
    starts: int
    promotions: int
    #: Timestamps of the first epoch's last row: one, unless that epoch was trained again.
    first_epochs: set[str]


@dataclass
class Place:
    """A job store, a blob store, a reconciler, and a train worker that is restarted after each kill."""

    services: Services
    environment: dict[str, str]
    fate: Fate
    worker: subprocess.Popen[bytes] | None = None
    #: Versions that have been listed.
    listed: set[str] = field(default_factory=set)
    #: See `Ended`; of the running training.
    first_epochs: set[str] = field(default_factory=set)

    def train(self, *deaths: str) -> Ended:
        """Train to the end, through these deaths."""
        self.fate.write(*deaths)
        self.first_epochs = set()
        before = self.services.registry.alias().revision
        job_id = self.services.store.submit_training(PARAMS | {"dataset": "cifar10"}, retention_s=3600)
        job = wait_until(lambda: self.look(job_id), "the training is over", ENDS_S, every=0.2)
        assert job.state is JobState.SUCCEEDED, job.failure
        assert job.model is not None
        assert self.fate.left() == [], "it was over before all of them had happened"
        registry, blobs = self.services.registry, self.services.blobs
        with zipfile.ZipFile(registry.openvino_file(job.model) or "") as network:
            weights = network.read(WEIGHTS)
        return Ended(
            job,
            self.services.trainings.rows(job_id, 0, 1000),
            registry.card(job.model),
            weights,
            blobs.get(f"{PREFIX}/{job.model}/{PREDICTIONS_FILE}"),
            int(self.services.redis.hget(keys.job(job_id), "starts")),
            registry.alias().revision - before,
            self.first_epochs,
        )

    def look(self, job_id: str) -> Job | None:
        """Return the job if it is finished. Restart the worker, and read the list of models as clients do."""
        if self.worker is None or self.worker.poll() is not None:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.mortal"], cwd=ROOT, env=self.environment
            )
        for card in self.services.registry.versions():
            if card.version not in self.listed:
                assert self.is_whole(card), f"{card.version} is listed, and not all of it is there"
                self.listed.add(card.version)
        job = self.services.store.get(job_id)
        self.first_epochs |= {row["at"] for row in self.services.trainings.rows(job_id, ROWS - 1, 1)}
        return job if job.state.done else None

    def is_whole(self, card: ModelCard) -> bool:
        digests = {MODEL_FILE: card.file_sha256, OPENVINO_FILE: card.openvino_sha256}
        files = {name: self.services.registry.file(card.version, name) for name in digests}
        return digests == {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}

    def remove(self, job_id: str) -> None:
        """Delete the job as the web server does."""
        self.services.store.remove(job_id)
        self.services.delete_bytes(job_id)

    def left(self, job_id: str) -> list[str]:
        """Return what is left of a job, and all chunks and leases."""
        client, blobs = self.services.redis, self.services.settings.data_dir / "blobs"
        found = [key for key in client.scan_iter("*") if job_id in key]
        found += list(client.scan_iter("darkroom:chunk:*")) + client.zrange(keys.LEASES, 0, -1)
        found += [str(path) for path in blobs.rglob("*") if job_id in str(path)]
        return found + [str(process) for process in psutil.process_iter() if job_id in words(process)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, small_cifar10: Path) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("training")
    environment = {**os.environ, DEATHS: str(folder / "deaths"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"DARKROOM_DATA_DIR": str(folder), "DARKROOM_CIFAR10": str(small_cifar10)}
    with running_redis(redis_server_path(), folder) as url:
        environment["DARKROOM_REDIS_URL"] = url
        services = Services.build(Settings(redis_url=url, data_dir=folder))
        place = Place(services, environment, Fate(folder / "deaths"))
        with reconciler(environment):
            yield place
        if place.worker:
            place.worker.kill()
            place.worker.wait()
        services.close()


@contextmanager
def reconciler(environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-m", "worker.reconcile"], cwd=ROOT, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(START_STOP_S)


@pytest.fixture(scope="module")
def promoted(place: Place) -> Ended:
    """Run a training that is killed only after its version exists."""
    return place.train(*PROMOTING)


def curve(ended: Ended) -> list[dict[str, Any]]:
    """Return the rows without timestamps and speed."""
    return [{name: value for name, value in row.items() if name not in ("at", "images_per_s")} for row in ended.rows]


def check(place: Place, ended: Ended, deaths: tuple[str, ...]) -> None:
    """Assert that it continued after each death, promoted one version once, and leaves nothing behind."""
    assert [row["n"] for row in ended.rows] == list(range(1, PARAMS["epochs"] * ROWS + 1))
    assert ended.starts == len(deaths) + 1
    assert len(ended.first_epochs) == 1
    assert ended.promotions == 1
    assert ended.job.promotion["promoted"] is True
    assert place.services.registry.alias().version == ended.job.model
    assert not place.services.blobs.exists(checkpoint_key(ended.job.id))
    place.remove(ended.job.id)
    wait_until(lambda: not place.left(ended.job.id), f"nothing is left: {place.left(ended.job.id)}")
    assert place.services.registry.exists(ended.card.version)
    print(f"{len(deaths)} deaths, {len(ended.rows)} rows, {ended.card.version}: {', '.join(deaths)}")


def test_a_training_that_dies_around_its_promotion_is_promoted_once(place: Place, promoted: Ended) -> None:
    assert place.listed == {*shipped(place), promoted.card.version}
    check(place, promoted, PROMOTING)


def test_a_training_that_dies_in_every_phase_makes_the_same_version_once(place: Place, promoted: Ended) -> None:
    before = set(place.listed)
    ended = place.train(*MAKING)
    assert curve(ended) == curve(promoted)
    assert (ended.weights, ended.answers) == (promoted.weights, promoted.answers)
    assert ended.card.metrics == promoted.card.metrics
    assert ended.card.calibration == promoted.card.calibration
    assert place.listed - before == {ended.card.version}
    check(place, ended, MAKING)
    torn = {key.split("/")[1] for key in place.services.blobs.keys(PREFIX)} - place.listed
    assert not [name for name in torn if place.services.registry.exists(name)]
    print(f"{len(torn)} versions were begun and never finished; none was ever listed")


def shipped(place: Place) -> set[str]:
    return set(place.services.registry._shipped.names())
