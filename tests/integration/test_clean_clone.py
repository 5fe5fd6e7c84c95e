"""The README's first command in a clean clone: an empty home, and only the packages that requirements.txt names.

The clone is read-only, as one that belongs to root is for everybody else.

They are linked, not installed again: CI installs them whenever it runs `./darkroom test`.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distribution
from pathlib import Path

import httpx
from packaging.requirements import Requirement

from cli.stack.embedded_redis import free_port
from tests.conftest import NO_TLS, ROOT, START_STOP_S, wait_until
from tests.programs import need, read_only

PICTURES = sorted((ROOT / "tests" / "fixtures" / "cifar10").glob("*.png"))
PYTHON = getattr(sys, "_base_executable", sys.executable)  # the Python of .venv has packages


def newcomer(home: Path, data_dir: Path, port: int) -> dict[str, str]:
    """Return environment variables without a trace of this checkout."""
    hidden = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    path = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if ".venv" not in part)
    settings = {"DARKROOM_PORT": str(port), "DARKROOM_DATA_DIR": str(data_dir)}
    return kept | {"PATH": path, "HOME": str(home)} | settings


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def link_packages(clone: Path) -> None:
    """Create the clone's virtual environment as its start script would, with links to this one's packages."""
    script = runpy.run_path(str(clone / "darkroom"))
    venv.create(script["ENVIRONMENT"], symlinks=True)
    (target,) = script["ENVIRONMENT"].glob("lib/*/site-packages")
    source = Path(sysconfig.get_path("purelib"))
    for requirement in requirements(clone / "requirements.txt"):
        for name in {file.parts[0] for file in distribution(requirement.name).files or ()} - {".."}:
            if not (target / name).exists():
                (target / name).symlink_to(source / name)
    script["stamp"](clone / "requirements.txt").touch()


def requirements(file: Path) -> list[Requirement]:
    """Return the requirements that apply to this machine."""
    lines = [line for line in file.read_text().splitlines() if line and not line.lstrip().startswith("#")]
    found = [Requirement(line) for line in lines]
    return [each for each in found if not each.marker or each.marker.evaluate()]


def test_up_on_a_clean_clone_classifies_pictures(tmp_path):
    need("git")
    clone, home, port = tmp_path / "clone", tmp_path / "home", free_port()
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    link_packages(clone)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, verify=NO_TLS)
    environment = newcomer(home, tmp_path / "data", port)
    with read_only(clone):
        shown = subprocess.run([PYTHON, clone / "darkroom", "--help"], env=environment, capture_output=True, check=True)
        assert b"Usage: darkroom" in shown.stdout
        job = classified(subprocess.Popen([PYTHON, clone / "darkroom", "up"], cwd=clone, env=environment), client)
    assert (job["state"], job["counts"]["succeeded"]) == ("succeeded", len(PICTURES))
    right = [item["predictions"][0]["label"] == item["filename"].split("-")[0] for item in job["results"]]
    assert sum(right) >= len(PICTURES) * 0.85, "the shipped model is right in about 94 of 100"


def classified(up: subprocess.Popen[bytes], client: httpx.Client) -> dict:
    """Return the Job for all pictures, then stop the service."""
    try:
        wait_until(lambda: up.poll() is not None or answers(client), "ready", START_STOP_S, every=0.1)
        assert up.poll() is None, "it ended by itself"
        files = [("files", (path.name, path.read_bytes(), "image/png")) for path in PICTURES]
        answer = client.post("/v1/jobs", files=files, headers={"Prefer": "wait=30"})
    finally:
        client.close()
        up.send_signal(signal.SIGINT)
        up.wait(START_STOP_S)
    assert answer.status_code == 200, answer.text
    return answer.json()
