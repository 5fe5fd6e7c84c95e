"""The page of the system: work, queues, workers and room, kept up to date while somebody looks."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.kit import Api, pictures

#: Milliseconds between two looks of the page.
LOOK_MS = 5000
CALLS = re.compile(r"/v1/(queues|system)$")


def test_it_says_what_the_api_says(page: Page, api: Api) -> None:
    api.job(pictures(3))
    page.clock.install()
    page.goto("/system")
    expect(page.locator("nav [aria-current=page]")).to_have_text("System")
    expect(page.locator(".scatterlayer")).to_have_count(1)
    told = api.ask("GET", "/v1/queues").json()
    expect(page.locator("#workers tr")).to_have_count(len(told["workers"]))
    expect(page.locator("#workers")).to_contain_text(api.champion())
    rows = page.locator("#queues tr")
    assert rows.locator("th").all_inner_texts() == ["Small jobs", "Big jobs", "Trainings"]
    assert rows.locator("td:last-child").all_inner_texts() == [str(queue["workers"]) for queue in told["data"]]
    page.click("text=The minutes in a table")
    minutes = page.locator("#minutes tr")
    expect(minutes).to_have_count(60)
    ended = sum(int(text.replace(",", "")) for text in minutes.locator("td:last-child").all_inner_texts())
    assert ended >= 3
    expect(page.locator("#disk-figures")).to_contain_text("Taken by Darkroom")
    expect(page.locator("#redis-figures")).to_contain_text("1.0 GB")
    assert 0 < page.locator("#redis").evaluate("bar => bar.value / bar.max") < 1
    # What has not changed keeps the focus
    page.locator("#workers a").first.focus()
    busy = {**told, "data": [{**queue, "jobs": 7} for queue in told["data"]]}
    page.route("**/v1/queues", lambda route: route.fulfill(json=busy))
    page.clock.fast_forward(LOOK_MS)
    expect(page.locator("#queues")).to_contain_text("7")
    expect(page.locator("#workers a").first).to_be_focused()


def test_a_queue_without_a_worker_is_said_with_what_to_do(page: Page, api: Api) -> None:
    told = api.ask("GET", "/v1/queues").json()
    alone = {"data": [{**queue, "workers": 0} for queue in told["data"]], "workers": []}
    page.clock.install()
    page.route("**/v1/queues", lambda route: route.fulfill(json=alone))
    page.goto("/system")
    expect(page.locator("#unserved")).to_contain_text("No worker is there for small jobs and big jobs and trainings.")
    expect(page.locator("#unserved")).to_contain_text("./darkroom up")
    expect(page.locator("#no-workers")).to_be_visible()
    page.unroute("**/v1/queues")
    page.clock.fast_forward(LOOK_MS)
    expect(page.locator("#unserved")).to_be_hidden()
    expect(page.locator("#workers tr")).to_have_count(len(told["workers"]))


def test_trouble_is_said_and_passes(page: Page, complaints) -> None:
    complaints.expected = ("503",)
    page.clock.install()
    page.route(
        "**/v1/system", lambda route: route.fulfill(status=503, json={"title": "Unavailable", "detail": "no Redis"})
    )
    page.goto("/system")
    expect(page.locator("#notice")).to_contain_text("No Redis. This page tries again by itself.")
    page.unroute("**/v1/system")
    page.clock.fast_forward(LOOK_MS)
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#system")).to_be_visible()


def test_nobody_asks_for_a_tab_that_is_not_seen(page: Page) -> None:
    page.clock.install()
    page.goto("/system")
    expect(page.locator("#system")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if CALLS.search(request.url) else None)
    hide(page, hidden=True)
    page.clock.run_for(60_000)
    assert not asked
    with page.expect_request(CALLS):
        hide(page, hidden=False)


def hide(page: Page, *, hidden: bool) -> None:
    """What the browser does where another tab comes before this one, or goes."""
    page.evaluate(
        """hidden => { Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
                       document.dispatchEvent(new Event("visibilitychange")); }""",
        hidden,
    )
