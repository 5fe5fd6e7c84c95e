"""The upload page, from choosing to the result."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import SAMPLES, folder_of
from tests.fixtures import make

RESULT = re.compile(r"/result/[0-9a-f]{32}$")


def choose(page: Page, *files: object, selector: str = "#files") -> None:
    page.goto("/")
    page.set_input_files(selector, [str(file) for file in files] if selector == "#files" else str(files[0]))


def test_forty_pictures_with_live_progress(page: Page) -> None:
    # Given an upload whose only batch is held back
    held: list[Route] = []
    page.route("**/v1/jobs/*/items", lambda route: held.insert(0, route))
    choose(page, *SAMPLES)
    expect(page.locator("#chosen-title")).to_contain_text("40 pictures")
    with page.expect_request("**/v1/jobs/*/items"):
        page.click("#start")
    # Then the page says that it is sending, and does not go away
    expect(page.locator("#sending-title")).to_have_text("Sending 40 files")
    expect(page.locator("#sent-files")).to_have_text(re.compile(r"^\d+ of 40$"))
    expect(page.locator("#drop")).to_be_hidden()
    # When it goes on
    held[0].continue_()
    # Then the result page shows a class for every picture
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator("#succeeded")).to_have_text("40")
    expect(page.locator(".card-item")).to_have_count(40)
    expect(page.locator(".card-item h3 span").first).to_have_text(re.compile("^[a-z]+$"))


def test_cards_say_what_the_api_says(page: Page, api) -> None:
    choose(page, *SAMPLES[:5])
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator(".card-item")).to_have_count(5)
    for item in api.results(page.url.split("/")[-1]):
        best = item["predictions"][0]
        shown = page.locator(f".card-item[data-key='{item['key']}']")
        expect(shown.locator("h3")).to_have_text(f"{best['label']}class {best['index']}")
        expect(shown.locator(".shares li")).to_have_count(3)
        expect(shown.locator(".card-file")).to_have_text(item["filename"])


def test_a_folder_of_300(page: Page, tmp_path) -> None:
    choose(page, folder_of(tmp_path / "holiday", 300), selector="#folder")
    expect(page.locator("#chosen-title")).to_contain_text("300 pictures")
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator("#title")).to_have_text("holiday")
    expect(page.locator("#succeeded")).to_have_text("300")
    expect(page.locator(".card-item")).to_have_count(60)
    expect(page.locator("#place")).to_have_text("1–60 of 300")


def test_a_lost_connection_is_bridged_without_doubles(page: Page, complaints, tmp_path) -> None:
    # Given the first batch does not get through, and the second does but its answer gets lost
    complaints.expected = ("net::ERR_CONNECTION_RESET",)
    page.route("**/v1/jobs/*/items", lambda route: route.abort("connectionreset"), times=1)
    page.add_init_script(
        """let sent = 0;
        const send = XMLHttpRequest.prototype.send;
        XMLHttpRequest.prototype.send = function (body) {
            if (++sent === 2) this.onload = this.onerror;
            send.call(this, body);
        };"""
    )
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.url.endswith("/items") else None)
    choose(page, folder_of(tmp_path / "trip", 120), selector="#folder")
    page.click("#start")
    # Then every picture arrives once
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator("#total")).to_have_text("120")
    expect(page.locator("#succeeded")).to_have_text("120")
    assert len(requests) == 5  # three batches, two of them twice


def test_other_files_are_named_before_anything_is_sent(page: Page, tmp_path) -> None:
    text, empty = tmp_path / "notes <b>bold.txt", tmp_path / "empty.png"
    text.write_text("hello")
    empty.touch()
    choose(page, SAMPLES[0], text, empty)
    expect(page.locator("#left-out strong")).to_have_text("2 files will not be sent:")
    expect(page.locator("#left-out li")).to_have_text(
        [f"{text.name} (not a picture)", f"{empty.name} (empty)"], use_inner_text=True
    )
    expect(page.locator("#start")).to_have_text("Classify 1 picture")


def test_nothing_but_other_files(page: Page, tmp_path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    choose(page, text)
    expect(page.locator("#notice")).to_contain_text("That cannot be classified.")
    expect(page.locator("#notice")).to_contain_text("notes.txt")
    expect(page.locator("#drop")).to_be_visible()


def test_a_broken_picture_says_why(page: Page, tmp_path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(make.cut(SAMPLES[0].read_bytes()))
    choose(page, SAMPLES[1], broken)
    page.click("#start")
    page.wait_for_url(RESULT)
    failed = page.locator(".card-failed")
    expect(failed).to_have_count(1)
    expect(failed.locator(".card-reason code")).to_have_text("truncated")
    expect(failed.locator(".card-reason")).to_contain_text("the end of the file is missing")


def test_a_single_file_that_is_refused_is_explained(page: Page, complaints, tmp_path) -> None:
    complaints.expected = ("415",)
    fake = tmp_path / "fake.jpg"
    fake.write_text("only text")
    choose(page, fake)
    page.click("#start")
    expect(page.locator("#notice")).to_contain_text("Unsupported content.")
    expect(page.locator("#notice")).to_contain_text("Choose other files.")
    expect(page.locator("#drop")).to_be_visible()


@pytest.mark.parametrize("archive", ["zip", "tar"])
def test_an_archive_beside_many_pictures(page: Page, api, tmp_path, archive) -> None:
    packed = tmp_path / f"more.{archive}"
    packed.write_bytes(make.zip_archive() if archive == "zip" else make.tar_archive())
    choose(page, *SAMPLES[:20], packed)
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator(".card-item .card-file", has_text=SAMPLES[0].name)).to_have_count(1)
    assert api.status(page.url.split("/")[-1])["counts"]["total"] > 20


def test_cancelling_an_upload(page: Page, api) -> None:
    page.route("**/v1/jobs/*/items", lambda _route: None)  # never answered
    choose(page, *SAMPLES)
    page.click("#start")
    page.click("#stop")
    expect(page.locator("#notice")).to_contain_text("The upload was cancelled.")
    expect(page.locator("#drop")).to_be_visible()
    job = page.locator("#notice a").get_attribute("href").split("/")[-1]
    assert api.status(job)["state"] == "cancelled"


def test_cancelling_while_the_job_is_being_opened(page: Page, api) -> None:
    held: list[Route] = []
    page.route("**/v1/jobs", lambda route: held.append(route))  # noqa: PLW0108  # it takes no built-in
    choose(page, *SAMPLES)
    with page.expect_request("**/v1/jobs"):
        page.click("#start")
    page.click("#stop")
    held[0].continue_()
    expect(page.locator("#notice")).to_contain_text("The upload was cancelled.")
    job = page.locator("#notice a").get_attribute("href").split("/")[-1]
    assert api.status(job)["state"] == "cancelled"


def test_leaving_while_an_upload_runs_is_asked_about(page: Page) -> None:
    page.route("**/v1/jobs/*/items", lambda _route: None)
    choose(page, *SAMPLES)
    page.click("#start")
    expect(page.locator("#sent-files")).to_be_visible()
    with page.expect_event("dialog") as asked:
        page.evaluate("setTimeout(() => location.assign('/jobs'))")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    expect(page.locator("#sending")).to_be_visible()


def test_an_upload_that_stopped_can_be_gone_on_with(page: Page, complaints) -> None:
    # Given an archive, which cannot be repeated by itself, and a connection that breaks once
    complaints.expected = ("net::ERR_FAILED", "net::ERR_CONNECTION_RESET")
    page.route("**/v1/jobs/*/items", lambda route: route.abort("connectionreset"), times=1)
    page.goto("/")
    archive = {"name": "all.zip", "mimeType": "application/zip", "buffer": make.zip_archive()}
    others = [{"name": p.name, "mimeType": "image/png", "buffer": p.read_bytes()} for p in SAMPLES[:20]]
    page.set_input_files("#files", [archive, *others])
    page.click("#start")
    expect(page.locator("#notice")).to_contain_text("The upload has stopped.")
    # When the person goes on
    page.click("#again")
    # Then all of it is there
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator(".card-file", has_text=SAMPLES[0].name)).to_have_count(1)


def test_dropped_pictures(page: Page) -> None:
    page.goto("/")
    page.evaluate(
        """(bytes) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
            document.querySelector("#drop").dispatchEvent(
                new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
        }""",
        list(SAMPLES[0].read_bytes()),
    )
    expect(page.locator("#chosen-title")).to_contain_text("1 picture")


def test_dropped_folders_are_read_to_the_end(page: Page) -> None:
    """A browser gives a folder's entries a hundred at a time; playwright cannot drop one, so the entries are ours."""
    page.goto("/")
    names = page.evaluate(
        """async () => {
            const {walk} = await import("/static/files.js");
            const file = (path) => ({isDirectory: false, fullPath: path, file: (done) => done(new File(["x"], "x"))});
            const folder = (path, children) => ({isDirectory: true, fullPath: path, createReader: () => {
                let given = 0;
                return {readEntries: (done) => done(children.slice(given, given += 100))};
            }});
            const inner = folder("/a/b", Array.from({length: 150}, (_, i) => file(`/a/b/${i}.png`)));
            const outer = folder("/a", [...Array.from({length: 250}, (_, i) => file(`/a/${i}.png`)), inner]);
            return (await walk([outer])).map(({name}) => name);
        }"""
    )
    assert len(names) == len(set(names)) == 400
    assert "a/b/149.png" in names


def test_the_page_works_by_keyboard(page: Page) -> None:
    # Listening begins before the page is there: playwright does not wait until it does, and a key is faster.
    page.on("filechooser", lambda chooser: chooser.set_files(str(SAMPLES[0])))
    page.goto("/")
    page.locator("#pick-files").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#start")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(RESULT)
    expect(page.locator(".card-item")).to_have_count(1)
