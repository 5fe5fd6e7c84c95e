"""The page of the API under the strict content security policy: a complaint of the browser fails the test."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.kit import SIZES, check_accessible


def test_it_shows_every_call_and_can_make_one(page: Page, service) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/")
    page.click("footer >> text=API")
    expect(page.locator("#operations-jobs-jobs_create")).to_be_visible()
    assert page.locator(".opblock").count() >= 25
    call = page.locator("#operations-queues-queues")
    call.locator(".opblock-summary-control").click()
    call.locator("text=Try it out").click()
    call.locator("text=Execute").click()
    expect(call.locator(".live-responses-table .response-col_status").last).to_have_text("200")
    assert all(address.startswith((service.url, "data:")) for address in asked)


def test_it_fits_a_phone(page: Page) -> None:
    page.set_viewport_size(SIZES["phone"])
    page.goto("/docs")
    page.locator("#operations-jobs-jobs_create .opblock-summary-control").click()
    expect(page.locator("#operations-jobs-jobs_create .responses-table").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_axe_finds_nothing(page: Page) -> None:
    page.goto("/docs")
    expect(page.locator("#operations-jobs-jobs_create")).to_be_visible()
    check_accessible(page)
