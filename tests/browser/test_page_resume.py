"""An upload that is paused, or interrupted, goes on where it was and sends nothing twice."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.kit import SAMPLES, Gate, folder_of
from tests.conftest import Service, wait_until

RESULT = re.compile(r"/result/[0-9a-f]{32}$")
#: Keeps the keys of every request that was answered in the tab, beyond a reload.
NOTE_KEYS = """
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (form) {
    this.addEventListener("load", () => {
        if (this.status < 400) sessionStorage.arrived = (sessionStorage.arrived ?? "") + form.get("keys") + ",";
    });
    send.call(this, form);
};"""
#: Seconds for which the web server is away.
DOWN_S = 10


@pytest.fixture
def noted(page: Page) -> Page:
    """A page whose requests are noted, and that may be left."""
    page.add_init_script(NOTE_KEYS)
    page.on("dialog", lambda dialog: dialog.accept())
    return page


def start(page: Page, folder: object, through: int) -> Gate:
    """Begin to upload a folder; all but so many requests are held back."""
    page.goto("/")
    gate = Gate(page, after=through)
    page.set_input_files("#folder", str(folder))
    page.click("#start")
    return gate


def halfway(page: Page, gate: Gate) -> None:
    """100 of 300 files have arrived, and three requests are on their way."""
    expect(page.locator("#sent-files")).to_have_text("100 of 300")
    wait_until(lambda: page.evaluate("true") and len(gate.held) == 3, "three requests are held back")


def all_arrived_once(page: Page) -> None:
    page.wait_for_url(RESULT)
    expect(page.locator("#title")).to_have_text("trip")
    expect(page.locator("#succeeded")).to_have_text("300")
    keys = re.findall(r'"([^"]+)"', page.evaluate("sessionStorage.arrived"))
    assert len(keys) == len(set(keys)) == 300


def test_pause_and_go_on(noted: Page, tmp_path) -> None:
    page = noted
    gate = start(page, folder_of(tmp_path / "trip", 300), through=2)
    halfway(page, gate)
    page.click("#pause")
    expect(page.locator("#sending-title")).to_have_text("Paused")
    expect(page.locator("#go-on")).to_be_focused()
    gate.open()
    page.keyboard.press("Enter")
    all_arrived_once(page)


def test_a_reload_in_the_middle(noted: Page, tmp_path) -> None:
    # Given an upload of which 100 of 300 files arrived when the page was loaded again
    page, folder = noted, folder_of(tmp_path / "trip", 300)
    gate = start(page, folder, through=2)
    halfway(page, gate)
    page.reload()
    gate.open()
    # Then the page knows of it, and what does not belong to it makes a job of its own
    expect(page.locator("#interrupted-title")).to_have_text("The upload “trip” was interrupted")
    expect(page.locator("#interrupted-text")).to_contain_text("100 pictures arrived just now, of 300 files.")
    page.set_input_files("#files", str(SAMPLES[0]))
    expect(page.locator("#start")).to_have_text("Classify 1 picture")
    page.click("#clear")
    # When the folder is chosen again, from the button that asks for it
    with page.expect_file_chooser() as asked:
        page.click("#resume")
    asked.value.set_files(str(folder))
    expect(page.locator("#chosen-before")).to_contain_text("100 of them arrived before")
    expect(page.locator("#start")).to_have_text("Send the other 200")
    page.click("#start")
    # Then the rest is sent, into the same job, and nothing twice
    all_arrived_once(page)
    page.goto("/")
    expect(page.locator("#drop")).to_be_visible()
    expect(page.locator("#interrupted")).to_be_hidden()


def test_an_interrupted_upload_can_be_left_at_what_arrived(noted: Page, tmp_path) -> None:
    page = noted
    start(page, folder_of(tmp_path / "trip", 60), through=1)
    expect(page.locator("#sent-files")).to_have_text("50 of 60")
    page.reload()
    page.click("#settle")
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator("#succeeded")).to_have_text("50")


def test_a_picture_that_is_encoded_anew_is_no_conflict(page: Page, api) -> None:
    # Given a picture that arrives, whose answer is lost, and that comes out of the scaling with other bytes then
    page.add_init_script(
        """let sent = 0;
        const send = XMLHttpRequest.prototype.send;
        XMLHttpRequest.prototype.send = function (form) {
            if (++sent === 1) this.onload = this.onerror;
            else form.set("files", new File([form.get("files"), "1"], "cat.png"));
            send.call(this, form);
        };"""
    )
    page.goto("/")
    page.set_input_files("#files", str(SAMPLES[0]))
    page.click("#start")
    # Then the upload ends well, and the picture that came first is the one that is there
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    (item,) = api.results(page.url.split("/")[-1])
    assert item["bytes"] == SAMPLES[0].stat().st_size


def test_the_service_is_away_for_ten_seconds(noted: Page, complaints, service: Service, tmp_path) -> None:
    # Given an upload of which some has arrived
    complaints.expected = ("net::ERR_",)
    page = noted
    gate = start(page, folder_of(tmp_path / "trip", 300), through=2)
    halfway(page, gate)
    # When the rest runs into a web server that is not there
    with no_web(service):
        gone = time.monotonic()
        gate.let_go()
        expect(page.locator("#notice")).to_contain_text("The connection was lost.")
        page.wait_for_timeout(max(0.0, DOWN_S - (time.monotonic() - gone)) * 1000)
        expect(page.locator("#sending-title")).to_have_text("Sending 300 files")
    # Then it goes on by itself when that is back, and ends well
    all_arrived_once(page)


@contextmanager
def no_web(service: Service) -> Iterator[None]:
    """The web server is killed, all of its processes, and started again by the supervisor only when the block ends."""
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
