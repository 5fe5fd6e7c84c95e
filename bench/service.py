"""What the benchmarks of the whole service share: a service of their own, and the test images of CIFAR-10 as files."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from PIL import Image

from cli.redis_server import free_port
from worker.datasets import load_cifar10

ROOT = Path(__file__).resolve().parent.parent
#: Seconds until a service must be ready.
START_S = 120
LOOK_S = 0.1


@contextmanager
def running_service(**settings: str) -> Iterator[httpx.Client]:
    """A client of a service that `up` has started on an empty data folder, with these settings."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        environment = {**os.environ, "DARKROOM_PORT": str(port), "DARKROOM_DATA_DIR": folder}
        environment |= {f"DARKROOM_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "cli", "up"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as http:
                _wait(http, process)
                yield http
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def _wait(http: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    """Return when the service is ready. Raises RuntimeError where it ends, or is not ready in time."""
    for _ in range(int(START_S / LOOK_S)):
        time.sleep(LOOK_S)
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            if process.poll() is not None:
                break
    raise RuntimeError("the service did not get ready")


def pngs(count: int) -> list[bytes]:
    """The first `count` test images as PNG files, and from the first again where there are not so many."""
    images = load_cifar10().x_test
    files = [_png(Image.fromarray(image)) for image in images[:count]]
    return [files[n % len(files)] for n in range(count)]


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def archive(files: list[bytes]) -> bytes:
    """The files as one zip, not compressed again."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as entries:
        for number, content in enumerate(files):
            entries.writestr(f"{number:06}.png", content)
    return buffer.getvalue()


def submit(http: httpx.Client, content: bytes) -> str:
    """Post a zip; return the job's id."""
    answer = http.post("/v1/jobs", content=content, headers={"Content-Type": "application/zip"})
    answer.raise_for_status()
    return str(answer.json()["id"])


def wait(http: httpx.Client, job_id: str) -> dict[str, object]:
    """Return the job once it is over."""
    while not (job := http.get(f"/v1/jobs/{job_id}", params={"wait": 30}).json())["done"]:
        pass
    return dict(job)
