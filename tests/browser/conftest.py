"""Fixtures: a real browser in front of the running service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.browser.kit import PATIENCE_MS, Api, Complaints, pictures, watch_console
from tests.programs import chromium

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
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        except Error as error:  # this machine has none, and Playwright has not downloaded its own, or lacks libraries
            pytest.skip(f"needs chromium-headless-shell: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(browser: Browser, service, complaints: Complaints) -> Iterator[Page]:
    """A page in a new context. A console error, such as a violation of the content security policy, fails the test."""
    yield from opened(browser, service.url, complaints)


def opened(browser: Browser, url: str, complaints: Complaints) -> Iterator[Page]:
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 800})
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


@pytest.fixture(scope="session")
def mixed_job(api: Api) -> str:
    """A finished job with more pictures than one page shows, and one file that is not an image."""
    return api.job([("notes.png", b"only text"), *pictures(70)])


@pytest.fixture(scope="session")
def trained_job(api: Api) -> str:
    """A finished training of two epochs. Its version was not promoted."""
    job = api.training(epochs=2, batch_size=64, promote="if_better")
    api.finished(job)
    return job


@pytest.fixture(scope="session")
def two_versions(api: Api, trained_job: str) -> tuple[str, str]:
    """Two versions measured on the same test images. The champion is the shipped one."""
    return api.status(trained_job)["model"], api.trained(epochs=1, batch_size=64, seed=1)
