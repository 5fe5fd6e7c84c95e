"""Helpers of the browser tests: an API client, sample pictures, checks of a page, and a console watcher."""

from __future__ import annotations

import base64
import io
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, Route, expect

from tests.conftest import NO_TLS, PATIENCE_S, START_STOP_S, wait_until
from tests.fixtures import make

#: Milliseconds before a wait fails.
PATIENCE_MS = 1000 * PATIENCE_S
expect.set_options(timeout=PATIENCE_MS)

#: Folder for screenshots of every page, if set.
SCREENSHOTS = os.environ.get("SCREENSHOTS")
SAMPLES = sorted(make.CIFAR10.glob("*.png"))


SIZES = {"phone": {"width": 360, "height": 800}, "desktop": {"width": 1280, "height": 800}}
#: Minimum size of a click target in CSS pixels (WCAG 2.2, 2.5.8).
TARGET = 24


AXE = Axe()
#: All rules of WCAG up to 2.2 AA. axe runs as debugger code, so the content security policy does not block it.
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "rules": {"target-size": {"enabled": True}},
}
#: Size and theme. Colours depend on the theme alone, and the layout on the size alone.
LOOKS = (("desktop", "dark"), ("phone", "light"))


class Complaints(list[str]):
    """Errors and warnings of the browser's console, except those that contain a part in `expected`."""

    expected: tuple[str, ...] = ()

    def add(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.append(text)


def wait_until_true(page: Page, expression: str) -> None:
    """Wait until a JavaScript expression is true. The content security policy forbids `page.wait_for_function`."""
    wait_until(lambda: page.evaluate(expression), expression)


def watch_console(page: Page, complaints: Complaints) -> None:
    page.on("console", lambda message: complaints.add(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.add(str(error)))


def looks(page: Page) -> Iterator[str]:
    """Show the page in every size and theme in turn."""
    for size, theme in LOOKS:
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # no fades
        expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
        yield f"{size}-{theme}"


def check(page: Page, name: str, part: str | None = None) -> None:
    """Check layout and accessibility in every look; axe examines only `part` (a selector) if it is given."""
    for look in looks(page):
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{look}.png", full_page=True)
        check_layout(page)
        check_axe(page, part)
    assert not page.evaluate("document.getAnimations().length")


def check_axe(page: Page, part: str | None = None) -> None:
    """Fail on any violation of WCAG that axe finds."""
    found = AXE.run(page, part, options=RULES)
    assert not found.violations_count, f"{page.url} {page.viewport_size}\n{found.generate_report()}"


def check_layout(page: Page) -> None:
    """Check that the page does not scroll sideways, and that every control is named and large enough."""
    wait_until_true(page, "document.documentElement.scrollWidth <= innerWidth")  # charts follow a new size late
    # Links that cover a row or are part of a sentence are exempt.
    small = page.locator("button:visible, .btn:visible, select:visible, input:visible, nav a:visible").evaluate_all(
        f"""all => all.map((one) => [one.outerHTML, one.getBoundingClientRect()])
            .filter(([, box]) => Math.min(box.width, box.height) < {TARGET}).map(([html]) => html)"""
    )
    assert not small
    unnamed = page.locator("input:visible, select:visible, textarea:visible").evaluate_all(
        "all => all.filter((one) => !one.labels.length && !one.ariaLabel).map((one) => one.outerHTML)"
    )
    assert not unnamed


def number(text: str | None) -> float:
    """Return the first number in a text such as "1,234 ms" or "94.2 %"."""
    found = re.search(r"\d[\d,]*(\.\d+)?", text or "")
    assert found, text
    return float(found[0].replace(",", ""))


def rounded(value: float, digits: int) -> object:
    """Compare with a number that was rounded to `digits` decimals. JavaScript rounds 0.25 to 0.3, Python to 0.2."""
    return pytest.approx(value, abs=0.5 * 10**-digits + 1e-9)


class Api:
    """A client of the service's API, to prepare and check what a page shows."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False, verify=NO_TLS)

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, **options) -> httpx.Response:
        return self._client.request(method, path, **options).raise_for_status()

    def job(self, files: list[tuple[str, bytes]]) -> str:
        """Classify these files and return the finished job's id."""
        parts = [("files", (name, io.BytesIO(content))) for name, content in files]
        answer = self.ask("POST", "/v1/jobs", files=parts, headers={"Prefer": "wait=30"})
        assert answer.json()["done"]
        return answer.json()["id"]

    def open_job(self, files: list[tuple[str, bytes]]) -> str:
        """Add these files to a new job, leave it open, and return its id."""
        job = self.ask("POST", "/v1/jobs", json={"kind": "classification"}).json()["id"]
        self.ask("POST", f"/v1/jobs/{job}/items", files=[("files", (n, io.BytesIO(c))) for n, c in files])
        return job

    def training(self, **params) -> str:
        """Start a training of preset seed, which takes seconds on a small dataset, and return its id."""
        body = {"kind": "training", "params": {"preset": "seed", **params}}
        return self.ask("POST", "/v1/jobs", json=body).json()["id"]

    def trained(self, **params) -> str:
        """Run such a training and return the version that it published."""
        return self.finished(self.training(**params))["model"]

    def finished(self, job: str) -> dict:
        """Wait until a training or an import has succeeded and return its job."""
        done = wait_until(lambda: self._done(job), f"job {job} is done", START_STOP_S)
        assert done["state"] == "succeeded", done
        return done

    def _done(self, job: str) -> dict | None:
        found = self.ask("GET", f"/v1/jobs/{job}", params={"wait": 5}).json()
        return found if found["done"] else None

    def model(self, version: str) -> dict:
        return self.ask("GET", f"/v1/models/{version}").json()

    def models(self) -> list[dict]:
        return self.ask("GET", "/v1/models").json()["data"]

    def champion(self) -> str:
        return self.ask("GET", "/v1/models/aliases").json()["champion"]["version"]

    def promote(self, version: str) -> None:
        self.ask("PUT", "/v1/models/aliases/champion", json={"version": version}, headers={"If-Match": "*"})

    def status(self, job: str) -> dict:
        return self.ask("GET", f"/v1/jobs/{job}").json()

    def results(self, job: str, **parameters) -> list[dict]:
        return self.ask("GET", f"/v1/jobs/{job}/results", params={"limit": 1000, **parameters}).json()["data"]


def pictures(count: int) -> list[tuple[str, bytes]]:
    """Return `count` sample pictures with unique names."""
    contents = [path.read_bytes() for path in SAMPLES]
    return [(f"picture-{number:04}.png", contents[number % len(contents)]) for number in range(count)]


def folder_of(root: Path, count: int) -> Path:
    """Fill a folder with `count` pictures, in subfolders of 150, and return it."""
    for number, (name, content) in enumerate(pictures(count)):
        below = root / f"part-{number // 150}"
        below.mkdir(parents=True, exist_ok=True)
        (below / name).write_bytes(content)
    return root


def label_row(page: Page, name: str) -> Locator:
    """Return a Label's row on the page of a Dataset."""
    return page.locator(f"#label-rows li[data-label='{name}']")


def drop(target: Locator, name: str, content: bytes) -> None:
    """Drop a file on an element."""
    target.evaluate(
        """(target, [name, content]) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([Uint8Array.from(atob(content), (one) => one.charCodeAt(0))], name));
          target.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, base64.b64encode(content).decode()],
    )


class Gate:
    """Passes the first `after` uploading requests of a page, and holds further ones until it is opened."""

    def __init__(self, page: Page, after: int) -> None:
        self.held: list[Route] = []
        self._left = float(after)
        page.route("**/v1/jobs/*/items", self._pass_or_hold)

    def _pass_or_hold(self, route: Route) -> None:
        self._left -= 1  # first, since other requests arrive while this one is sent
        if self._left >= 0:
            route.continue_()
        else:
            self.held.append(route)

    def open(self) -> None:
        """Pass further requests."""
        self._left = math.inf

    def let_go(self) -> None:
        """Pass further requests, and the held ones."""
        self.open()
        for route in self.held:
            route.continue_()
