"""`darkroom up`: it runs once per data folder, survives kills, stops completely, and reports errors."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from cli.stack import programs
from cli.stack.embedded_redis import free_port
from shared.redis import keys
from shared.settings import Settings
from tests.cli.kit import redis_left_behind
from tests.conftest import ROOT, START_STOP_S, Service, running_service, wait_until
from tests.integration.helpers import redis_of
from tests.integration.trainings_kit import ENDLESS, TRAINING_S, ended, rows, train

PICTURE = ROOT / "tests" / "fixtures" / "cifar10" / "cat-0.png"

#: A folder whose name has what configuration files read as something else.
ODD = "ws%2Fmain %(x)s # ;a 'b\" \\n\n[é]"


def darkroom(data_dir: Path, port: int | str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `darkroom up` when it should exit by itself."""
    environment = {**os.environ, "DARKROOM_DATA_DIR": str(data_dir), "DARKROOM_PORT": str(port or free_port())}
    command = [sys.executable, "-m", "cli", "up"]
    return subprocess.run(
        command, cwd=ROOT, env=environment | settings, capture_output=True, text=True, timeout=START_STOP_S, check=False
    )


def family(service: Service) -> list[psutil.Process]:
    """Return all processes of a running service."""
    main = psutil.Process(service.process.pid)
    return [main, *main.children(recursive=True)]


def of_program(service: Service, words: str) -> list[psutil.Process]:
    """Return the processes of one program, oldest first."""
    found = [process for process in family(service) if words in " ".join(process.cmdline())]
    return sorted(found, key=lambda process: process.create_time())


def classify(service: Service) -> dict:
    """Post one picture and wait; return the response."""
    with service.client() as http:
        answer = http.post(
            "/v1/jobs", files={"files": (PICTURE.name, PICTURE.read_bytes())}, headers={"Prefer": "wait=30"}
        )
    assert answer.status_code == 200, answer.text
    return answer.json()


def succeeds(service: Service) -> bool:
    """Tell whether a picture is classified now; a broken connection counts as no."""
    try:
        return classify(service)["state"] == "succeeded"
    except (httpx.TransportError, AssertionError):
        return False


@pytest.fixture(scope="module")
def up(tmp_path_factory, small_cifar10):
    with running_service(tmp_path_factory.mktemp("up") / ODD, cifar10=str(small_cifar10)) as service:
        yield service


def test_a_second_up_on_the_same_folder_says_that_it_runs(up):
    second = darkroom(up.data_dir)
    assert second.returncode == 1
    assert f"runs on {up.data_dir} (process {up.process.pid}), at {up.url}. To stop it: " in second.stderr
    assert len(second.stderr.replace(str(up.data_dir), "").splitlines()) == 1


def test_a_taken_port_is_named_in_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = darkroom(tmp_path, port)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert len(answer.stderr.splitlines()) == 1


def test_an_ipv6_address_stands_in_brackets():
    assert "[::1]:5000" in programs.web(Settings(host="::1"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_PORT", "ninety"),
        ("DARKROOM_WEB_THREADS", "0"),
        ("DARKROOM_PROT", "5000"),
        ("DARKROOM_HOST", "0.0.0.0"),
        ("DARKROOM_CIFAR10", "gone.npz"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(tmp_path, name, value):
    answer = darkroom(tmp_path, **{name: value})
    assert answer.returncode == 1
    assert name in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        "valkey-server",
        "gunicorn",
        "--hostname classify-interactive",
        "--hostname classify-bulk",
        "--hostname train",
        "worker.reconcile",
        "worker.webhooks",
    ],
)
def test_a_killed_program_comes_back_by_itself(up, words):
    killed = of_program(up, words)[0]
    killed.kill()
    psutil.wait_procs([killed], timeout=START_STOP_S)

    wait_until(lambda: of_program(up, words), f"{words} is back")
    wait_until(lambda: succeeds(up), "a picture is classified again", START_STOP_S)


def test_a_killed_worker_child_comes_back_by_itself(up):
    child = of_program(up, "--hostname classify-interactive")[-1]
    child.kill()
    wait_until(lambda: succeeds(up), "a picture is classified again", START_STOP_S)


def check_that_a_signal_stops(service: Service, number: signal.Signals) -> None:
    """Check that it stops everything and leaves no process."""
    processes = family(service)
    assert len(processes) >= 10
    service.process.send_signal(number)
    assert service.process.wait(START_STOP_S) == 0
    _, left = psutil.wait_procs(processes, timeout=START_STOP_S)
    assert left == []


def test_ctrl_c_ends_a_start_that_waits_for_the_redis_of_an_earlier_one(tmp_path):
    with redis_left_behind(tmp_path):
        environment = {**os.environ, "DARKROOM_DATA_DIR": str(tmp_path), "DARKROOM_PORT": str(free_port())}
        command, pipe = [sys.executable, "-m", "cli", "up"], subprocess.PIPE
        up = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)
        lock = tmp_path / "darkroom.lock"
        wait_until(lambda: lock.exists() and lock.read_text().startswith(f"{up.pid} "), "it holds the folder")
        up.send_signal(signal.SIGINT)
        assert (*up.communicate(timeout=START_STOP_S), up.returncode) == ("", "", 0)


@pytest.fixture(scope="module")
def again(up, small_cifar10):
    """Stop the service with Ctrl-C during a training and start it again; return it, the training and its rows before.

    The tests with this fixture are the last ones.
    """
    with up.client() as http:
        job_id = train(http, **ENDLESS)
        wait_until(lambda: any(row["epoch"] == 2 for row in rows(http, job_id)), "a checkpoint is there", TRAINING_S)
        before = rows(http, job_id)
    check_that_a_signal_stops(up, signal.SIGINT)
    with running_service(up.data_dir, cifar10=str(small_cifar10)) as service:
        yield service, job_id, before


def test_a_training_outlives_ctrl_c_and_a_new_start(again):
    service, job_id, before = again
    with service.client() as http:
        wait_until(lambda: len(rows(http, job_id)) > len(before), "it goes on", TRAINING_S)
        assert rows(http, job_id)[0] == before[0]
        assert redis_of(service).hlen(keys.job(job_id, "deaths")) == 0
        http.post(f"/v1/jobs/{job_id}/cancel")
        assert ended(http, job_id)["state"] == "cancelled"


def test_after_kill_9_nothing_is_left_and_a_new_start_finds_its_jobs(again):
    killed, *_ = again
    job = classify(killed)
    processes = family(killed)
    killed.process.kill()
    assert killed.process.wait(START_STOP_S) == -signal.SIGKILL
    left_behind = (killed.data_dir / "darkroom.lock").read_text()
    assert left_behind.split() == [str(killed.process.pid), killed.url], "the crash left its file behind"

    with running_service(killed.data_dir) as service:
        _, left = psutil.wait_procs(processes, timeout=START_STOP_S)
        assert left == []
        with service.client() as http:
            found = http.get(f"/v1/jobs/{job['id']}").json()
            assert (found["state"], found["counts"]["succeeded"]) == ("succeeded", 1)
            assert http.get(f"/v1/jobs/{job['id']}/results").json()["data"] == job["results"]
        check_that_a_signal_stops(service, signal.SIGTERM)
