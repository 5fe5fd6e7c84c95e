"""What the browser tests share: the API before a page is opened, sample pictures, and an ear at the console."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.fixtures import make

#: Milliseconds until a condition that is waited for counts as never coming: the shared cores may be busy.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

SCREENSHOTS = Path(__file__).parent.parent / "screenshots"
SAMPLES = sorted(make.CIFAR10.glob("*.png"))


class Complaints(list[str]):
    """What the browser's console said that it should not have; `expected` are parts of messages that are meant."""

    expected: tuple[str, ...] = ()

    def add(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.append(text)


def watch_console(page: Page, complaints: Complaints) -> None:
    page.on("console", lambda message: complaints.add(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.add(str(error)))


class Api:
    """The service's API, for what a test needs before the page is opened."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        return self._client.request(method, path, **options).raise_for_status()

    def job(self, files: list[tuple[str, bytes]]) -> str:
        """A finished job of these files."""
        parts = [("files", (name, io.BytesIO(content))) for name, content in files]
        answer = self.ask("POST", "/v1/jobs", files=parts, headers={"Prefer": "wait=30"})
        assert answer.json()["done"]
        return answer.json()["id"]

    def open_job(self, files: list[tuple[str, bytes]]) -> str:
        """A job that stays open after these files."""
        job = self.ask("POST", "/v1/jobs", json={"kind": "classification"}).json()["id"]
        self.ask("POST", f"/v1/jobs/{job}/items", files=[("files", (n, io.BytesIO(c))) for n, c in files])
        return job

    def status(self, job: str) -> dict:
        return self.ask("GET", f"/v1/jobs/{job}").json()

    def results(self, job: str, **parameters) -> list[dict]:
        return self.ask("GET", f"/v1/jobs/{job}/results", params={"limit": 1000, **parameters}).json()["data"]


def pictures(count: int) -> list[tuple[str, bytes]]:
    """So many sample pictures, with names of their own."""
    contents = [path.read_bytes() for path in SAMPLES]
    return [(f"picture-{number:04}.png", contents[number % len(contents)]) for number in range(count)]


def folder_of(root: Path, count: int) -> Path:
    """A folder with so many pictures, in folders of 150 below it."""
    for number, (name, content) in enumerate(pictures(count)):
        below = root / f"part-{number // 150}"
        below.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(content)
    return root
