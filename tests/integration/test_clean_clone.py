"""The README's first command, typed by a newcomer: a clean clone, an empty home, nothing installed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from cli.stack.embedded_redis import free_port
from tests.conftest import NO_TLS, ROOT, wait_until

PICTURES = sorted((ROOT / "tests" / "fixtures" / "cifar10").glob("*.png"))
#: Seconds to download and install everything from a slow mirror, and to start for the first time.
INSTALL_S = 900


def newcomer(home: Path, data_dir: Path, port: int) -> dict[str, str]:
    """An environment that knows nothing of this checkout."""
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


@pytest.mark.timeout(INSTALL_S + 120)
def test_up_on_a_clean_clone_classifies_pictures(tmp_path):
    clone, home, port = tmp_path / "clone", tmp_path / "home", free_port()
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, verify=NO_TLS)
    up = subprocess.Popen([str(clone / "darkroom"), "up"], cwd=clone, env=newcomer(home, clone / "var", port))
    try:
        wait_until(lambda: up.poll() is not None or answers(client), "ready", INSTALL_S, every=0.1)
        assert up.poll() is None, "it ended by itself"
        files = [("files", (path.name, path.read_bytes(), "image/png")) for path in PICTURES]
        answer = client.post("/v1/jobs", files=files, headers={"Prefer": "wait=30"})
    finally:
        client.close()
        up.send_signal(signal.SIGINT)
        up.wait(30)
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert (job["state"], job["counts"]["succeeded"]) == ("succeeded", len(PICTURES))
    right = [item["predictions"][0]["label"] == item["filename"].split("-")[0] for item in job["results"]]
    assert sum(right) >= len(PICTURES) * 0.85, "the shipped model is right in about 94 of 100"
