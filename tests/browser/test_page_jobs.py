"""The list of jobs."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.kit import Api, Complaints, pictures


def test_newest_first_and_live(page: Page, api: Api) -> None:
    older, newer = api.job(pictures(2)), api.open_job(pictures(3))
    page.goto("/jobs")
    rows = page.locator("#rows tr")
    expect(rows.nth(0)).to_have_attribute("data-job", newer)
    expect(rows.nth(1)).to_have_attribute("data-job", older)
    expect(rows.nth(1)).to_contain_text("2 classified")
    api.ask("POST", f"/v1/jobs/{newer}/seal")
    expect(rows.nth(0).locator("[data-state=succeeded]")).to_be_visible()
    rows.nth(0).locator("a").click()
    expect(page.locator("#succeeded")).to_have_text("3")


def test_a_script_that_fails_is_mentioned_on_the_page(page: Page, api: Api, complaints: Complaints) -> None:
    complaints.expected = ("ERR_FAILED", "it is not defined")
    api.open_job(pictures(1))
    page.goto("/jobs")
    expect(page.locator("#rows tr").first).to_be_visible()
    expect(page.locator("#trouble")).to_be_hidden()
    page.route("**/static/api.js*", lambda route: route.abort())  # which the page's script imports
    page.reload()
    expect(page.locator("#trouble")).to_be_visible()
    page.unroute("**/static/api.js*")
    page.reload()
    expect(page.locator("#rows tr").first).to_be_visible()
    expect(page.locator("#trouble")).to_be_hidden()
    page.route("**/static/jobs.js*", lambda route: route.fulfill(content_type="text/javascript", body="it.broke = 1"))
    page.reload()
    expect(page.locator("#trouble")).to_be_visible()


def test_paging(page: Page, api: Api) -> None:
    for _ in range(26):
        api.ask("POST", "/v1/jobs", json={"kind": "classification"})
    page.goto("/jobs")
    expect(page.locator("#place")).to_have_text("1–25")
    first = page.locator("#rows tr").first.get_attribute("data-job")
    page.locator("#next").evaluate("next => { next.click(); next.click(); }")  # the second click precedes the answer
    expect(page.locator("#place")).to_contain_text("26–")
    expect(page.locator(f"tr[data-job='{first}']")).to_have_count(0)
    page.locator("#previous").evaluate("previous => { previous.click(); previous.click(); }")
    expect(page.locator("#rows tr").first).to_have_attribute("data-job", first)


def test_an_unreachable_service_and_an_empty_list(page: Page, complaints: Complaints) -> None:
    complaints.expected = ("net::",)
    page.clock.install()
    page.route("**/v1/jobs?*", lambda route: route.abort())
    page.goto("/jobs")
    expect(page.locator("#notice")).to_be_visible()
    page.route("**/v1/jobs?*", lambda route: route.fulfill(json={"data": [], "next": None}))
    page.clock.fast_forward(15_000)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#table")).to_be_hidden()
    page.click("#empty a")
    expect(page.locator("#pick-files")).to_be_visible()
