"""An upload that is paused or interrupted continues where it stopped and sends nothing twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.kit import SAMPLES, Complaints, Gate, folder_of, watch_console
from tests.conftest import Service, wait_until

RESULT = re.compile(r"/result/[0-9a-f]{32}$")
JOB = re.compile(r"/v1/jobs/[0-9a-f]{32}$")
#: Records the keys of every successful request in the tab's session storage, which survives a reload.
RECORD_KEYS = """
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (form) {
    this.addEventListener("load", () => {
        if (this.status < 400) sessionStorage.arrived = (sessionStorage.arrived ?? "") + form.get("keys") + ",";
    });
    send.call(this, form);
};"""
#: How many of 60 files have arrived when a tab is closed; the browser may still send the held request.
ARRIVED = re.compile(r"\b(50|60)\b")
UNAVAILABLE = {"status": 503, "json": {"title": "Service unavailable", "detail": "the store is away"}}


@pytest.fixture
def recorded(page: Page) -> Page:
    """A page that records its requests and may be left during an upload."""
    page.add_init_script(RECORD_KEYS)
    page.on("dialog", lambda dialog: dialog.accept())
    return page


def start(page: Page, folder: object, through: int) -> Gate:
    """Start to upload a folder, and hold back all but the first `through` requests."""
    page.goto("/")
    gate = Gate(page, after=through)
    page.set_input_files("#folder", str(folder))
    page.click("#start")
    return gate


def halfway(page: Page, gate: Gate) -> None:
    """Wait until 100 of 300 files have arrived and three requests are held back."""
    expect(page.locator("#sent-files")).to_have_text("100 of 300")
    wait_until(lambda: page.evaluate("true") and len(gate.held) == 3, "three requests are held back")


def all_arrived_once(page: Page) -> None:
    page.wait_for_url(RESULT)
    expect(page.locator("#title")).to_have_text("trip")
    expect(page.locator("#succeeded")).to_have_text("300")
    keys = re.findall(r'"([^"]+)"', page.evaluate("sessionStorage.arrived"))
    assert len(keys) == len(set(keys)) == 300


def test_a_pause_and_a_reload(recorded: Page, complaints: Complaints, tmp_path: Path) -> None:
    # Given a paused upload of which 100 of 300 files have arrived
    complaints.expected = ("503",)
    page, folder = recorded, folder_of(tmp_path / "trip", 300)
    gate = start(page, folder, through=2)
    halfway(page, gate)
    page.click("#pause")
    expect(page.locator("#go-on")).to_be_focused()
    # When the page is reloaded, then it offers to resume
    page.reload()
    expect(page.locator("#interrupted-title")).to_contain_text("“trip”")
    expect(page.locator("#interrupted-text")).to_contain_text("100 of 300")
    # While the service cannot tell what has arrived, nothing is chosen
    page.route("**/v1/jobs/*/items?*", lambda route: route.fulfill(**UNAVAILABLE), times=1)
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#notice")).to_contain_text("The store is away.")
    expect(page.locator("#reading")).to_be_hidden()
    # Other files make a job of their own
    page.set_input_files("#files", str(SAMPLES[0]))
    expect(page.locator("#start")).to_contain_text("1 picture")
    expect(page.locator("#chosen-before")).to_be_hidden()
    page.click("#clear")
    # When the same folder is chosen again, then only the rest is sent
    with page.expect_file_chooser() as asked:
        page.click("#resume")
    asked.value.set_files(str(folder))
    expect(page.locator("#chosen-before")).to_contain_text("100")
    expect(page.locator("#start")).to_contain_text("200")
    (whole,) = re.findall(r", (.*)$", page.inner_text("#chosen-title"))
    page.click("#start")
    expect(page.locator("#sending-title")).to_contain_text("300")
    expect(page.locator("#sent-instead")).not_to_contain_text(whole)
    # It can be paused and continued
    page.click("#pause")
    gate.open()
    page.keyboard.press("Enter")
    all_arrived_once(page)
    page.goto("/")
    expect(page.locator("#drop")).to_be_visible()
    expect(page.locator("#interrupted")).to_be_hidden()


def test_an_upload_belongs_to_the_tab_that_sends_it(recorded: Page, complaints: Complaints, tmp_path: Path) -> None:
    # Given a tab that sends, without Web Locks as on plain HTTP
    complaints.expected = ("503",)
    first, folder = recorded, folder_of(tmp_path / "trip", 60)
    first.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    start(first, folder, through=1)
    expect(first.locator("#sent-files")).to_have_text("50 of 60")
    # Then the same folder in another tab is another upload
    second = first.context.new_page()
    watch_console(second, complaints)
    second.goto("/")
    second.set_input_files("#folder", str(folder))
    expect(second.locator("#start")).to_contain_text("60")
    # When the first tab is closed, then the second resumes its upload, even if the service was away at first
    first.close()
    second.route(JOB, lambda route: route.fulfill(**UNAVAILABLE), times=1)
    with second.expect_response(JOB):
        second.reload()
    second.set_input_files("#folder", str(folder))
    expect(second.locator("#chosen-before")).to_contain_text(ARRIVED)
    # Or it finishes with what has arrived
    second.reload()
    second.click("#settle")
    second.wait_for_url(RESULT)
    expect(second.locator("#state")).to_have_attribute("data-state", "succeeded")
    expect(second.locator("#succeeded")).to_have_text(ARRIVED)


def test_an_outage_of_the_web_server(recorded: Page, complaints: Complaints, service: Service, tmp_path: Path) -> None:
    # Given an upload of which some files have arrived
    complaints.expected = ("net::ERR_",)
    page = recorded
    gate = start(page, folder_of(tmp_path / "trip", 300), through=2)
    halfway(page, gate)
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url) if request.url.endswith("/items") else None)
    # When the web server is away for several attempts
    with no_web(service):
        gate.let_go()
        expect(page.locator("#notice")).to_be_visible()
        wait_until(lambda: page.evaluate("true") and len(failed) >= 6, "each request has failed twice")
        expect(page.locator("#sending-title")).to_contain_text("300")
    # Then the upload continues by itself once the server is back
    all_arrived_once(page)


@contextmanager
def no_web(service: Service) -> Iterator[None]:
    """Kill the web server, and let the supervisor restart it only after the block."""
    family = psutil.Process(service.process.pid).children(recursive=True)
    (supervisor,) = [process for process in family if "supervisor.supervisord" in process.cmdline()]
    supervisor.suspend()
    try:
        for process in family:
            if any("gunicorn" in word for word in process.cmdline()):
                process.kill()
        yield
    finally:
        supervisor.resume()
