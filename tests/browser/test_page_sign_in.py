"""Signing in with a key, using the pages, and signing out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import opened
from tests.browser.kit import SAMPLES, SIZES, Complaints, check, check_layout
from tests.keys_kit import KEYS
from tests.proxies_kit import KEY, Site, running_nginx, running_web


@pytest.fixture
def keyed_page(browser: Browser, keyed_service, complaints: Complaints) -> Iterator[Page]:
    yield from opened(browser, keyed_service.url, complaints)


@pytest.fixture
def nginx(keyed_service, tmp_path) -> Iterator[Site]:
    """nginx as documented, with TLS on a port of its own, in front of two web processes."""
    with (
        running_web(keyed_service, tmp_path / "first.log") as first,
        running_web(keyed_service, tmp_path / "second.log") as second,
        running_nginx([first, second], tmp_path) as site,
    ):
        yield site


@pytest.fixture
def proxied_page(browser: Browser, nginx: Site, complaints: Complaints) -> Iterator[Page]:
    yield from opened(browser, nginx.url, complaints, any_certificate=True)


def test_sign_in_upload_and_sign_out(keyed_page: Page, complaints: Complaints) -> None:
    complaints.expected = ("401",)
    page = keyed_page
    # Given a page that requires a key
    page.goto("/jobs?state=succeeded")
    page.wait_for_url("**/sign-in?next=%2Fjobs%3Fstate%3Dsucceeded")
    page.keyboard.type("a wrong key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("Key")).to_have_attribute("aria-invalid", "true")
    check(page, "sign-in")
    # When the key is right, then that page opens, and uploading works
    page.get_by_label("Key").fill(KEYS["ann"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/jobs?state=succeeded")
    page.goto("/")
    page.locator("#files").set_input_files(SAMPLES[0])
    page.locator("#start").click()
    page.wait_for_url("**/result/*")
    page.set_viewport_size(SIZES["phone"])
    expect(page.locator(".sign-out code")).to_have_text("ann")
    check_layout(page)
    # When signed out, then no page of before can be used
    page.locator(".sign-out button").click()
    expect(page.get_by_label("Key")).to_be_focused()
    page.go_back()
    page.wait_for_url("**/sign-in?next=*")


def test_sign_in_and_upload_behind_nginx(proxied_page: Page) -> None:
    page = proxied_page
    page.goto("/")
    page.wait_for_url("**/sign-in*")
    page.get_by_label("Key").fill(KEY)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".sign-out code")).to_have_text("proxied")
    page.wait_for_load_state()  # its scripts run
    page.locator("#files").set_input_files(SAMPLES[0])
    page.locator("#start").click()
    page.wait_for_url("**/result/*")
    expect(page.locator("#succeeded")).to_have_text("1")
    page.locator(".sign-out button").click()
    expect(page.get_by_label("Key")).to_be_visible()
