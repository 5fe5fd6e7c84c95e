"""The system page: work, queues, workers and free space, kept up to date while the page is visible."""

from __future__ import annotations

import re
import socket

from playwright.sync_api import Page, expect

from tests.browser.kit import Api, Complaints, number, pictures

#: Milliseconds between two polls of the page.
POLL_MS = 5000
CALLS = re.compile(r"/v1/(queues|system)$")


def test_the_page_shows_what_the_api_returns(page: Page, api: Api) -> None:
    api.job(pictures(3))
    page.clock.install()
    page.goto("/system")
    expect(page.locator(".scatterlayer")).to_have_count(1)
    answer = api.ask("GET", "/v1/queues").json()
    expect(page.locator("#workers tr")).to_have_count(len(answer["workers"]))
    expect(page.locator("#workers")).to_contain_text(api.champion())
    machine = page.locator("#machines tr")
    expect(machine).to_contain_text(re.compile(rf"{socket.gethostname()}.*s ago.*{re.escape(answer['code'])}", re.S))
    rows = page.locator("#queues tr")
    assert rows.locator("td:last-child").all_inner_texts() == [str(queue["workers"]) for queue in answer["data"]]
    page.click("summary")
    minutes = page.locator("#minutes tr")
    expect(minutes).to_have_count(60)
    assert sum(number(text) for text in minutes.locator("td:last-child").all_inner_texts()) >= 3
    expect(page.locator("#redis-figures")).to_contain_text("1.0 GB")
    assert 0 < page.locator("#redis").evaluate("bar => bar.value / bar.max") < 1
    # Unchanged rows keep the focus
    known = {**answer, "data": [{**queue, "jobs": 5} for queue in answer["data"]]}
    page.route("**/v1/queues", lambda route: route.fulfill(json=known))
    page.clock.fast_forward(POLL_MS)
    expect(page.locator("#queues")).to_contain_text("5")
    page.locator("#workers a").last.focus()  # the machine that joins comes before it
    busy = {**answer, "data": [{**queue, "jobs": 7} for queue in answer["data"]]}
    lack = {"what": "cifar10", "reason": "set DARKROOM_CIFAR10", "since": "2026-11-29T12:00:00.000Z"}
    others = [{**worker, "lacks": []} for worker in answer["workers"]]
    busy["workers"] = [*others, {**answer["workers"][0], "name": "far:1", "lacks": [lack], "code": "0.0.9+0"}]
    page.route("**/v1/queues", lambda route: route.fulfill(json=busy))
    page.clock.fast_forward(POLL_MS)
    expect(page.locator("#queues")).to_contain_text("7")
    expect(machine).to_have_count(2)
    expect(machine.filter(has_text="0.0.9")).to_contain_text(re.compile(r"far.*1.*\d\.\d.*s ago.*0\.0\.9\+0", re.S))
    lines = [
        r"^far:1 lacks cifar10 since .*2026.*: set DARKROOM_CIFAR10$",
        rf"^far runs Darkroom 0\.0\.9\+0, and the web server {re.escape(answer['code'])}\. Update the older one\.$",
    ]
    expect(page.locator("#lacks li")).to_have_text([re.compile(line) for line in lines])
    expect(page.locator("#workers a").last).to_be_focused()


def test_a_queue_without_a_worker_and_an_unavailable_service(page: Page, api: Api, complaints: Complaints) -> None:
    complaints.expected = ("503",)
    answer = api.ask("GET", "/v1/queues").json()
    idle = {"data": [{**queue, "workers": 0} for queue in answer["data"]], "workers": []}
    page.clock.install()
    page.route("**/v1/queues", lambda route: route.fulfill(json=idle))
    room = api.ask("GET", "/v1/system").json()
    warnings = ["Redis has no append-only file.", "Redis has no memory limit."]
    room["redis"]["warnings"] = warnings
    page.route("**/v1/system", lambda route: route.fulfill(json=room))
    page.goto("/system")
    expect(page.locator("#redis-warnings li")).to_have_text(warnings)
    expect(page.locator("#unserved-what")).to_have_text(re.compile("small jobs.*big jobs.*trainings"))
    expect(page.locator("#no-workers")).to_be_visible()
    expect(page.locator(".scatterlayer")).to_have_count(1)  # then the page waits for its next poll
    page.unroute("**/v1/queues")
    page.unroute("**/v1/system")
    page.clock.fast_forward(POLL_MS)
    expect(page.locator("#unserved")).to_be_hidden()
    expect(page.locator("#redis-warnings")).to_be_hidden()
    expect(page.locator("#workers tr")).to_have_count(len(answer["workers"]))
    page.route("**/v1/system", lambda route: route.fulfill(status=503, json={"title": "x", "detail": "no Redis"}))
    page.clock.fast_forward(POLL_MS)
    expect(page.locator("#notice")).to_contain_text("No Redis.")
    page.unroute("**/v1/system")
    page.clock.fast_forward(POLL_MS)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_hidden_tab_does_not_poll(page: Page) -> None:
    page.clock.install()
    page.goto("/system")
    expect(page.locator("#system")).to_be_visible()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if CALLS.search(request.url) else None)
    hide(page, hidden=True)
    page.clock.run_for(60_000)
    assert not sent
    with page.expect_request(CALLS):
        hide(page, hidden=False)


def hide(page: Page, *, hidden: bool) -> None:
    """Do what the browser does when the tab is hidden or shown."""
    page.evaluate(
        """hidden => { Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
                       document.dispatchEvent(new Event("visibilitychange")); }""",
        hidden,
    )
