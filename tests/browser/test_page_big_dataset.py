"""The page of a Dataset takes as many nodes and requests for 20,000 pictures as for a thousand.

`bench/pages.py` measures how long it takes for 100,000.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from bench import datasets
from bench.pages import served
from shared.domain.entities import LOCAL_OWNER
from tests.browser.conftest import opened
from tests.browser.kit import Complaints

#: Pictures by Dataset, and Labels of each: more than the page lists.
SIZES, LABELS = {"big": 20_000, "small": 1_200}, 1_000
CARDS, ROWS = 60, 201


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve the two Datasets, without a worker; return the service's URL."""
    with datasets.services() as parts:
        for name, pictures in SIZES.items():
            datasets.fill(parts, parts.datasets.create(LOCAL_OWNER, name), pictures, LABELS)
        with served(parts) as url:
            yield url


@pytest.fixture
def page(browser: Browser, url: str, complaints: Complaints) -> Iterator[Page]:
    yield from opened(browser, url, complaints)


def test_a_big_dataset_takes_no_more_than_a_small_one(page: Page) -> None:
    big, small = (cost(page, name) for name in SIZES)
    assert big == small


def test_a_page_of_which_all_is_deleted_shows_what_follows(page: Page) -> None:
    page.clock.install()
    page.goto("/datasets/small")
    page.locator("#cards button.thumb").first.press("Space")
    page.click("#selected-page")
    page.click("#selected-delete")
    expect(page.locator("#empty-text")).to_have_text("No pictures are left on this page.")
    page.clock.fast_forward("00:10")  # it can no longer be undone
    expect(page.locator("#cards li").first).to_have_attribute("data-key", str(CARDS + 1))
    expect(page.locator("#cards li")).to_have_count(CARDS)


def cost(page: Page, name: str) -> tuple[list[int], Counter[str]]:
    """Return the nodes of Labels and pictures as pages are turned, and the number of requests for each path of data."""
    asked: list[str] = []
    note = lambda request: asked.append(urlsplit(request.url).path)  # noqa: E731
    page.on("request", note)
    page.goto(f"/datasets/{name}")
    nodes = []
    for first, button in ((1, "#next"), (61, "#next"), (121, "#previous"), (61, "#previous"), (1, None)):
        expect(page.locator("#place")).to_have_text(f"{first}–{first + CARDS - 1}")
        expect(page.locator("#cards li")).to_have_count(CARDS)
        expect(page.locator("#label-rows li")).to_have_count(ROWS)
        nodes.append(page.evaluate("document.querySelectorAll('#content-columns *').length"))
        if button:
            page.click(button)
    page.remove_listener("request", note)
    assert len({path for path in asked if path.endswith("/image")}) <= 3 * CARDS
    return nodes, Counter(path.replace(name, "NAME") for path in asked if path.endswith((name, "/pictures")))
