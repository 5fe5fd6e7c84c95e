"""An upload that is paused, or interrupted, goes on where it was and sends nothing twice."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.kit import SAMPLES, Gate, folder_of, wait_until_true, watch_console
from tests.conftest import Service, wait_until
from tests.fixtures import make

RESULT = re.compile(r"/result/[0-9a-f]{32}$")
JOB = re.compile(r"/v1/jobs/[0-9a-f]{32}$")
#: Keeps the keys of every request that was answered in the tab, beyond a reload.
NOTE_KEYS = """
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (form) {
    this.addEventListener("load", () => {
        if (this.status < 400) sessionStorage.arrived = (sessionStorage.arrived ?? "") + form.get("keys") + ",";
    });
    send.call(this, form);
};"""
#: Has big photos wait for the scaler until it is told to work.
HOLD_SCALER = """
globalThis.waiting = [];
const postMessage = Worker.prototype.postMessage;
Worker.prototype.postMessage = function (...message) {
    waiting.push(() => postMessage.apply(this, message));
};"""
#: Seconds for which the web server is away.
DOWN_S = 10
#: Milliseconds in which a whole upload of a few pictures is over.
SMALL_UPLOAD_MS = 1500
UNAVAILABLE = {"status": 503, "json": {"title": "Temporarily unavailable", "detail": "the store is away"}}


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


def test_a_pause_while_photos_are_scaled_loses_none(page: Page, tmp_path) -> None:
    # Given an upload that is paused while each of its requests waits for the scaler
    page.add_init_script(HOLD_SCALER)
    photos = [(f"photo-{number}.png", make.encode(make.pixels(500, 500), "PNG")) for number in range(3)]
    for name, content in photos:
        (tmp_path / name).write_bytes(content)
    page.goto("/")
    page.set_input_files("#files", [str(tmp_path / name) for name, _ in photos] + [str(path) for path in SAMPLES])
    page.click("#start")
    wait_until_true(page, "waiting.length === 3")
    # When it goes on, long before the scaler does
    page.click("#pause")
    page.click("#go-on")
    page.wait_for_timeout(SMALL_UPLOAD_MS)
    page.evaluate("waiting.splice(0).forEach((work) => work())")
    # Then everything arrives
    page.wait_for_url(RESULT)
    expect(page.locator("#succeeded")).to_have_text("43")


def test_a_reload_in_the_middle(noted: Page, complaints, tmp_path) -> None:
    # Given an upload of which 100 of 300 files arrived when the page was loaded again
    complaints.expected = ("503",)
    page, folder = noted, folder_of(tmp_path / "trip", 300)
    gate = start(page, folder, through=2)
    halfway(page, gate)
    page.reload()
    # Then the page knows of it, keeps nothing of what is chosen while the service cannot tell what has arrived,
    expect(page.locator("#interrupted-title")).to_have_text("The upload “trip” was interrupted")
    expect(page.locator("#interrupted-text")).to_contain_text("100 pictures arrived just now, of 300 files.")
    page.route("**/v1/jobs/*/items?*", lambda route: route.fulfill(**UNAVAILABLE), times=1)
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#notice")).to_have_text("Temporarily unavailable. The store is away.")
    expect(page.locator("#reading")).to_be_hidden()
    # and what does not belong to it makes a job of its own
    page.set_input_files("#files", str(SAMPLES[0]))
    expect(page.locator("#start")).to_have_text("Classify 1 picture")
    page.click("#clear")
    # When the folder is chosen again, from the button that asks for it
    with page.expect_file_chooser() as asked:
        page.click("#resume")
    asked.value.set_files(str(folder))
    expect(page.locator("#chosen-before")).to_contain_text("100 of them arrived before")
    expect(page.locator("#start")).to_have_text("Send the other 200")
    (whole,) = re.findall(r", (.*)$", page.inner_text("#chosen-title"))
    page.click("#start")
    # Then the rest is sent, into the same job, and nothing twice
    expect(page.locator("#sending-title")).to_have_text("Sending 300 files")
    expect(page.locator("#sent-instead")).not_to_have_text(f"of {whole}")
    gate.open()
    gate.let_go()
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


def test_an_upload_belongs_to_the_tab_that_sends_it(noted: Page, complaints, tmp_path) -> None:
    # Given a tab that sends, on a page that came over plain HTTP
    complaints.expected = ("503",)
    first, folder = noted, folder_of(tmp_path / "trip", 60)
    first.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    start(first, folder, through=1)
    expect(first.locator("#sent-files")).to_have_text("50 of 60")
    # Then a second tab takes the same folder for another upload
    second = first.context.new_page()
    watch_console(second, complaints)
    second.goto("/")
    second.set_input_files("#folder", str(folder))
    expect(second.locator("#start")).to_have_text("Classify 60 pictures")
    # When the first one is closed, the second goes on with it, though it could not tell at first
    first.close()
    second.route(JOB, lambda route: route.fulfill(**UNAVAILABLE), times=1)
    with second.expect_response(JOB):
        second.reload()
    second.set_input_files("#folder", str(folder))
    expect(second.locator("#chosen-before")).to_contain_text("arrived before the upload “trip” was interrupted")


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
