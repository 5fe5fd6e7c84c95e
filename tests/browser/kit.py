"""What the browser tests share: the API before a page is opened, sample pictures, and an ear at the console."""

from __future__ import annotations

import io
import math
from pathlib import Path

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.conftest import NO_TLS, wait_until
from tests.fixtures import make

#: Milliseconds until a condition that is waited for counts as never coming: the shared cores may be busy.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)

SCREENSHOTS = Path(__file__).parent.parent / "screenshots"
SAMPLES = sorted(make.CIFAR10.glob("*.png"))


SIZES = {"phone": {"width": 360, "height": 800}, "desktop": {"width": 1280, "height": 800}}
#: CSS pixels of the smallest side of something to click (WCAG 2.2, 2.5.8).
TARGET = 24


AXE = Axe()
#: All rules of WCAG up to 2.2 AA. axe runs as the debugger's own code, which the page's policy does not concern.
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "rules": {"target-size": {"enabled": True}},
}
#: Size and theme, in the order in which a page is changed: colours depend on the theme alone, the layout on the size.
LOOKS = (("desktop", "dark"), ("phone", "light"))


class Complaints(list[str]):
    """What the browser's console said that it should not have; `expected` are parts of messages that are meant."""

    expected: tuple[str, ...] = ()

    def add(self, text: str) -> None:
        if not any(part in text for part in self.expected):
            self.append(text)


def wait_until_true(page: Page, expression: str) -> None:
    """Wait for a JavaScript expression. `page.wait_for_function` evaluates it in the page, which the policy forbids."""
    wait_until(lambda: page.evaluate(expression), expression, PATIENCE_MS / 1000)


def watch_console(page: Page, complaints: Complaints) -> None:
    page.on("console", lambda message: complaints.add(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.add(str(error)))


def check(page: Page, name: str) -> None:
    """Save a picture of the page. Nothing of it may stick out sideways, be too small to hit, or be without a name."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # A link that covers its whole row, or stands within a sentence, is no target of its own size.
    small = page.locator("button:visible, .btn:visible, select:visible, input:visible, nav a:visible").evaluate_all(
        f"""all => all.map((one) => [one.outerHTML, one.getBoundingClientRect()])
            .filter(([, box]) => Math.min(box.width, box.height) < {TARGET}).map(([html]) => html)"""
    )
    assert not small
    nameless = page.locator("input:visible, select:visible, textarea:visible").evaluate_all(
        "all => all.filter((one) => !one.labels.length && !one.ariaLabel).map((one) => one.outerHTML)"
    )
    assert not nameless


def check_accessible(page: Page) -> None:
    """Fail with what axe finds in any look of the page as it stands."""
    for size, theme in LOOKS:
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # nothing is half faded in
        expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
        found = AXE.run(page, options=RULES)
        assert not found.violations_count, f"{page.url} {size} {theme}\n{found.generate_report()}"
    assert not page.evaluate("document.getAnimations().length")


class Api:
    """The service's API, for what a test needs before the page is opened."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False, verify=NO_TLS)

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

    def training(self, **params) -> str:
        """A training of preset seed, which takes seconds on a small data set."""
        body = {"kind": "training", "params": {"preset": "seed", **params}}
        return self.ask("POST", "/v1/jobs", json=body).json()["id"]

    def trained(self, **params) -> str:
        """The version that such a training made."""
        return self.finished(self.training(**params))["model"]

    def finished(self, job: str) -> dict:
        """The training job, which must succeed, when it is over."""
        over = wait_until(lambda: self._over(job), f"training {job} is over", 120)
        assert over["state"] == "succeeded", over
        return over

    def _over(self, job: str) -> dict | None:
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


class Gate:
    """Lets so many uploading requests of a page through and holds further ones back, until it is opened."""

    def __init__(self, page: Page, after: int) -> None:
        self.held: list[Route] = []
        self._left = float(after)
        page.route("**/v1/jobs/*/items", self._pass_or_hold)

    def _pass_or_hold(self, route: Route) -> None:
        self._left -= 1  # first: other requests come while this one goes on
        if self._left >= 0:
            route.continue_()
        else:
            self.held.append(route)

    def open(self) -> None:
        """Let the next ones through."""
        self._left = math.inf

    def let_go(self) -> None:
        """Let the next ones through, and those that are held back."""
        self.open()
        for route in self.held:
            route.continue_()
