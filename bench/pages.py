"""How long a browser is busy at once on the page of a Dataset of 100,000 pictures.

    .venv/bin/python -m bench.pages
    .venv/bin/python -m bench.pages --labels 1000

A click waits until the task ends that the page's thread is in. The figures are the longest task of each action by the
clock, which includes waits for a core, and the most processor time that a task took.

It needs Playwright, which `./darkroom test --version` installs, and Chromium: `.venv/bin/python -m tests.programs`.
"""

from __future__ import annotations

import argparse
import io
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from bench import datasets
from bench.table import Figures, Goal, Row, heading, line
from shared.domain.entities import LOCAL_OWNER
from shared.services import Services
from web.app import create_app

#: Milliseconds that a task may take.
LONGEST = Goal(200, at_least=False)
#: Milliseconds after an action, for what it starts: pictures that are decoded, a Dataset that is read again.
SETTLE_MS = 2000
#: Thumbnails that are served, in turn, for all pictures; their longest side in pixels, as in the service.
THUMBNAILS, SIDE = 20, 256
#: Trace events about the tasks of threads, and their names.
CATEGORIES = "disabled-by-default-devtools.timeline,__metadata"
PAGES, CARDS = 5, 60

#: Milliseconds by the clock, and of processor time.
Task = tuple[float, float]


def rows(repeats: int, pictures: int, labels: int) -> Iterator[Row]:
    """Yield the longest task of each action on the page."""
    with _dataset_page(pictures, labels) as address, _browser() as browser:
        found = [_measured(browser, address) for _ in range(repeats)]
    for action in found[0]:
        wall, processor = (Figures([tasks[action][kind] for tasks in found], "ms") for kind in (0, 1))
        yield Row(f"longest task: {action}", wall, "most processor time", processor, goal=LONGEST)


def _measured(browser: Browser, address: str) -> dict[str, Task]:
    """Go through all actions in a new context; return the longest task of each."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    trace = Trace(page)
    tasks = {"load": trace.longest(partial(_load, page, address))}
    tasks |= {action: trace.longest(partial(work, page)) for action, work in ACTIONS.items()}
    context.close()
    return tasks


class Trace:
    """Finds the longest task of a page's thread."""

    def __init__(self, page: Page) -> None:
        self._page, self._session = page, page.context.new_cdp_session(page)
        self._events: list[dict[str, Any]] = []
        self._ended = False
        self._session.on("Tracing.dataCollected", lambda found: self._events.extend(found["value"]))
        self._session.on("Tracing.tracingComplete", self._end)

    def longest(self, work: Callable[[], object]) -> Task:
        """Return the most milliseconds of a task while the work is done: by the clock, and of processor time."""
        self._events.clear()
        self._ended = False
        self._session.send("Tracing.start", {"categories": CATEGORIES, "transferMode": "ReportEvents"})
        work()
        self._page.wait_for_timeout(SETTLE_MS)
        self._session.send("Tracing.end")
        while not self._ended:
            self._page.wait_for_timeout(20)
        times = list(zip(*self._tasks(), strict=True))
        return max(times[0]), max(times[1])

    def _end(self, _found: object) -> None:
        self._ended = True

    def _tasks(self) -> Iterator[Task]:
        """Yield the tasks of the page's thread that have ended."""
        named = (event for event in self._events if event["name"] == "thread_name")
        threads = {_thread(event) for event in named if event["args"]["name"] == "CrRendererMain"}
        for event in self._events:
            if event["name"] == "RunTask" and "dur" in event and _thread(event) in threads:
                yield event["dur"] / 1000, event.get("tdur", 0) / 1000


def _thread(event: dict[str, Any]) -> tuple[int, int]:
    return event["pid"], event["tid"]


def _load(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#cards li")).to_have_count(CARDS)


def _turn(page: Page, button: str) -> None:
    """Turn some pages, and see the pictures of each."""
    for _ in range(PAGES):
        with _other_pictures(page):
            page.click(button)


@contextmanager
def _other_pictures(page: Page) -> Iterator[None]:
    """Run the block, then wait until the page shows other pictures."""
    first = page.locator("#cards li").first
    before = first.get_attribute("data-key") or ""
    yield
    expect(first).not_to_have_attribute("data-key", before)


def _select(page: Page) -> None:
    page.locator("button.thumb").first.press("Space")
    page.click("#selected-page")


def _relabel(page: Page) -> None:
    page.select_option("#selected-label", index=3)
    page.click("#selected-apply")
    page.locator("#undo").wait_for()


def _label(page: Page, place: int) -> None:
    with _other_pictures(page):
        page.locator("#label-rows button").nth(place).click()


def _filter(page: Page) -> None:
    for text in ("Fresh_0012", ""):
        with _other_pictures(page):
            page.fill("[name=q]", text)


def _find_label(page: Page) -> None:
    """Search the Labels, if the page offers a search."""
    if page.locator("#find-label").is_visible():
        page.locator("#find-label").press_sequentially("7", delay=100)
        page.fill("#find-label", "")


def _newest(page: Page) -> None:
    with _other_pictures(page):
        page.select_option("[name=sort]", "newest")


def _move(page: Page) -> None:
    page.locator("button.thumb").first.focus()
    for key in ["ArrowRight"] * 30 + ["ArrowDown"] * 4:
        page.keyboard.press(key)


def _enlarge(page: Page) -> None:
    page.locator("button.thumb").first.click()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")


def _delete(page: Page) -> None:
    page.locator("button.thumb").first.press("Delete")
    page.locator("#undo").click()


ACTIONS: dict[str, Callable[[Page], object]] = {
    f"{PAGES} pages on": lambda page: _turn(page, "#next"),
    f"{PAGES - 1} pages back": lambda page: _turn(page, "#previous"),
    "select a page": _select,
    f"relabel {CARDS} pictures": _relabel,
    "undo": lambda page: page.click("#undo"),
    "choose a Label": lambda page: _label(page, 5),
    "all Labels again": lambda page: _label(page, 0),
    "find a Label": _find_label,
    "filter by file name": _filter,
    "newest first": _newest,
    "move between pictures": _move,
    "enlarge, 20 further": _enlarge,
    "delete, undo": _delete,
}


@contextmanager
def _browser() -> Iterator[Browser]:
    own = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=own, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def _dataset_page(pictures: int, labels: int) -> Iterator[str]:
    """Serve a Dataset, and yield the address of its page."""
    with datasets.services() as parts:
        datasets.fill(parts, parts.datasets.create(LOCAL_OWNER, "big"), pictures, labels)
        with served(parts) as url:
            yield f"{url}/datasets/big"


@contextmanager
def served(parts: Services) -> Iterator[str]:
    """Serve the app, with made-up thumbnails since the pictures have no bytes; yield its URL."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app, thumbnails = create_app(parts), [_thumbnail(number) for number in range(THUMBNAILS)]

    def serve(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"].split("/")
        if path[-1] != "image":
            return app(environ, start_response)
        start_response("200 OK", [("Content-Type", "image/jpeg")])
        return [thumbnails[int(path[-2]) % THUMBNAILS]]

    server = make_server("127.0.0.1", 0, serve, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _thumbnail(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE)).save(file, "JPEG")
    return file.getvalue()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        "python -m bench.pages", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=datasets.BIG, metavar="N", help="default: 100,000")
    parser.add_argument("--labels", type=int, default=6, metavar="N", help="default: 6")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="default: 3")
    options = parser.parse_args()
    print(heading(), flush=True)
    for row in rows(options.repeats, options.pictures, options.labels):
        print(line(row.cells()), flush=True)


if __name__ == "__main__":
    main()
