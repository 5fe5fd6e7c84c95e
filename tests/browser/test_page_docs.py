"""The API page under the strict content security policy. Any complaint of the browser fails the test."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.kit import check_axe, looks


def test_the_api_page_shows_and_sends_requests(page: Page, service) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.goto("/")
    page.click("footer a[href='/docs']")
    expect(page.locator("#operations-jobs-jobs_create")).to_be_visible()
    assert page.locator(".opblock").count() >= 25
    for _ in looks(page):
        check_axe(page)
    call = page.locator("#operations-queues-queues")
    call.locator(".opblock-summary-control").click()
    call.locator(".try-out__btn").click()
    call.locator(".execute").click()
    expect(call.locator(".live-responses-table .response-col_status").last).to_have_text("200")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # still as wide as a phone
    assert all(address.startswith((service.url, "data:")) for address in sent)
