"""A real browser in front of the running service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.kit import PATIENCE_MS, Api, Complaints, watch_console

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(browser: Browser, service, complaints: Complaints) -> Iterator[Page]:
    """A page of a context of its own. A console error, such as one of the content security policy, fails the test."""
    context = browser.new_context(base_url=service.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    watch_console(page, complaints)
    yield page
    context.close()
    assert not complaints


@pytest.fixture(scope="session")
def api(service) -> Iterator[Api]:
    with contextlib.closing(Api(service.url)) as api:
        yield api
