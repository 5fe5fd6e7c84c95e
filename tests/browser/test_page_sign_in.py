"""Signing in with a key, working with the pages, and signing out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import opened
from tests.browser.kit import SAMPLES, SIZES, Complaints, check, check_accessible
from tests.keys_kit import KEYS


@pytest.fixture
def keyed_page(browser: Browser, keyed_service, complaints: Complaints) -> Iterator[Page]:
    yield from opened(browser, keyed_service.url, complaints)


def test_sign_in_upload_and_sign_out(keyed_page: Page, complaints: Complaints) -> None:
    """Given a service with keys, When somebody signs in, Then the page that they wanted works, until they sign out."""
    complaints.expected = ("401",)
    page = keyed_page
    page.goto("/jobs?state=succeeded")
    expect(page).to_have_url(lambda_url("/sign-in?next=%2Fjobs%3Fstate%3Dsucceeded", page))
    for name, size in SIZES.items():
        page.set_viewport_size(size)
        check(page, f"sign-in-{name}")
    page.keyboard.type("a wrong key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not known")
    check_accessible(page)
    page.get_by_label("Key").fill(KEYS["ann"])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(lambda_url("/jobs?state=succeeded", page))
    page.goto("/")
    page.locator("#files").set_input_files(SAMPLES[0])
    page.locator("#start").click()
    page.wait_for_url("**/result/*")
    page.set_viewport_size(SIZES["phone"])
    expect(page.get_by_text("Signed in with the key ann")).to_be_visible()
    check(page, "signed-in-phone")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key")).to_be_focused()
    page.go_back()
    page.wait_for_url("**/sign-in?next=*")


def lambda_url(path: str, page: Page) -> str:
    return page.evaluate("location.origin") + path
