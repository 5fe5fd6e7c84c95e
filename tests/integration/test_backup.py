"""The backup and restore commands of docs/operations.md, run as written on a busy service."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import httpx

from tests.conftest import ROOT, Service, running_service
from tests.integration.helpers import finished, open_job, png, put, submit


def commands() -> list[str]:
    """Return the shell commands of the section: backup, restore."""
    text = (ROOT / "docs" / "operations.md").read_text()
    section = text.partition("## Backup and restore\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run(script: str, data: Path, backup: Path) -> str:
    environment = {**os.environ, "DATA": str(data), "BACKUP": str(backup)}
    done = subprocess.run(["sh", "-euc", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_copy_of_a_working_service_is_whole_elsewhere(service: Service, http: httpx.Client, tmp_path: Path) -> None:
    """Given results and an open job, when they are backed up and restored, then both work in the copy."""
    ended, filling = submit(http, *((f"{n}.png", png(n)) for n in range(20))), open_job(http)
    finished(http, ended)
    for key in "ab":
        assert put(http, filling, key, png(ord(key))).status_code == 201
    wanted = http.get(f"/v1/jobs/{ended}/results.csv").content

    backup, restore = commands()
    assert run(backup, service.data_dir, tmp_path / "backup") == ""
    copying, _, start = restore.rstrip().rpartition("\n")
    assert start == "./darkroom up"
    run(copying, tmp_path / "restored", tmp_path / "backup")
    http.post(f"/v1/jobs/{filling}/cancel")

    with running_service(tmp_path / "restored") as copy, copy.client() as there:
        assert there.get(f"/v1/jobs/{ended}/results.csv").content == wanted
        assert there.get(f"/v1/jobs/{ended}/items/000001/image").content == png(0)
        assert put(there, filling, "c", png(3)).status_code == 201
        there.post(f"/v1/jobs/{filling}/seal")
        assert finished(there, filling)["counts"]["succeeded"] == 3
