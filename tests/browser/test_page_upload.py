"""The upload page, from choosing to the result."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import SAMPLES, Gate, folder_of
from tests.conftest import ROOT
from tests.fixtures import make, odd

SAMPLE_NAMES = [path.name for path in (ROOT / "web" / "static" / "samples").iterdir()]
RESULT = re.compile(r"/result/[0-9a-f]{32}$")


def choose(page: Page, *files: object, selector: str = "#files") -> None:
    page.goto("/")
    page.set_input_files(selector, [str(file) for file in files] if selector == "#files" else str(files[0]))


def test_forty_pictures_with_live_progress(page: Page) -> None:
    # Given an upload whose only batch is held back
    gate = Gate(page, after=0)
    choose(page, *SAMPLES)
    expect(page.locator("#chosen-title")).to_contain_text("40 pictures")
    with page.expect_request("**/v1/jobs/*/items"):
        page.click("#start")
    # Then the page says that it is sending, and does not go away
    expect(page.locator("#sending-title")).to_have_text("Sending 40 files")
    expect(page.locator("#sent-files")).to_have_text(re.compile(r"^\d+ of 40$"))
    expect(page.locator("#drop")).to_be_hidden()
    # When it goes on
    gate.let_go()
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


def test_a_folder_of_300_is_classified_from_its_first_pictures_on(page: Page, tmp_path) -> None:
    # Given an upload of which only the first request gets through
    gate = Gate(page, after=1)
    choose(page, folder_of(tmp_path / "holiday", 300), selector="#folder")
    expect(page.locator("#chosen-title")).to_contain_text("300 pictures")
    page.click("#start")
    # Then its pictures are classified while the others wait
    expect(page.locator("#classified-files")).to_have_text("50 of 300")
    expect(page.locator("#sent-files")).to_have_text("50 of 300")
    expect(page.locator("#first-results li")).to_have_count(8)
    expect(page.locator("#results-link")).to_be_visible()
    # When the others get through
    gate.let_go()
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


def test_a_proxy_that_takes_less_in_one_request(page: Page, complaints, tmp_path) -> None:
    complaints.expected = ("413",)
    page.route("**/v1/jobs/*/items", lambda route: route.fulfill(status=413, body="<h1>Too large</h1>"), times=3)
    choose(page, folder_of(tmp_path / "trip", 60), selector="#folder")
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator("#succeeded")).to_have_text("60")


def test_a_file_that_nobody_takes_is_named(page: Page, complaints) -> None:
    complaints.expected = ("413",)
    page.route("**/v1/jobs/*/items", lambda route: route.fulfill(status=413, body="<h1>Too large</h1>"))
    choose(page, SAMPLES[0])
    page.click("#start")
    expect(page.locator("#notice")).to_contain_text("Nothing could be sent.")
    expect(page.locator("#notice")).to_contain_text(SAMPLES[0].name)
    expect(page.locator("#drop")).to_be_visible()


def test_other_files_are_named_before_anything_is_sent(page: Page, tmp_path) -> None:
    text, empty = tmp_path / "notes <b>bold.txt", tmp_path / "empty.png"
    text.write_text("hello")
    empty.touch()
    choose(page, SAMPLES[0], text, empty)
    expect(page.locator("#left-out strong")).to_have_text("2 files will not be sent")
    expect(page.locator("#left-out li")).to_have_text(
        [f"{empty.name} (empty)", f"{text.name} (not a picture)"], use_inner_text=True
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
    broken.write_bytes(odd.cut(SAMPLES[0].read_bytes()))
    choose(page, SAMPLES[1], broken)
    page.click("#start")
    page.wait_for_url(RESULT)
    failed = page.locator(".card-failed")
    expect(failed).to_have_count(1)
    expect(failed.locator(".card-reason code")).to_have_text("truncated")
    expect(failed.locator(".card-reason")).to_contain_text("the end of the file is missing")


def test_a_file_is_judged_by_its_content_before_it_is_sent(page: Page, tmp_path) -> None:
    files = {
        "fake.jpg": b"only text",
        "film.png": b"\0\0\0\x18ftypisom" + bytes(100),
        "raw.nef": make.tiff("plain"),
        "photo.jpg": make.photo(0.01),
        "graphic.gif": make.animated("GIF"),
        "web.webp": make.animated("WEBP"),
        "bitmap.bmp": make.encode(make.pixels(8, 8), "BMP"),
        "scan.tif": make.tiff("lzw"),
        "new.avif": make.avif(),
        "phone.heic": make.heic(),
        "an archive.png": odd.zip_archive(),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if request.method == "POST" else None)
    choose(page, *(tmp_path / name for name in files))
    expect(page.locator("#chosen-title")).to_contain_text("7 pictures and 1 archive")
    expect(page.locator("#left-out li")).to_have_text(
        [
            "fake.jpg (its content is no picture)",
            "film.png (its content is no picture)",
            "raw.nef (a camera's raw photo)",
        ],
        use_inner_text=True,
    )
    assert not requests


@pytest.mark.parametrize("archive", ["zip", "tar"])
def test_an_archive_beside_many_pictures(page: Page, api, tmp_path, archive) -> None:
    packed = tmp_path / f"more.{archive}"
    packed.write_bytes(odd.zip_archive() if archive == "zip" else odd.tar_archive())
    choose(page, *SAMPLES[:20], packed)
    expect(page.locator(".limits div", has_text="One archive")).to_contain_text("up to 4 GB")
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator(".card-item .card-file", has_text=SAMPLES[0].name)).to_have_count(1)
    assert api.status(page.url.split("/")[-1])["counts"]["total"] > 20


def test_a_long_wait_says_why_and_until_when(page: Page, complaints) -> None:
    complaints.expected = ("429",)
    used_up = {"title": "Too much at once", "detail": "the 20 items of this hour are used up"}
    page.route(
        "**/v1/jobs/*/items",
        lambda route: route.fulfill(status=429, json=used_up, headers={"Retry-After": "3600"}),
    )
    choose(page, *SAMPLES)
    page.click("#start")
    expect(page.locator("#notice")).to_contain_text("The 20 items of this hour are used up.")
    expect(page.locator("#notice")).to_contain_text(re.compile(r"Sending goes on after .*\d:\d\d"))


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


def test_an_archive_whose_answer_was_lost_is_not_added_twice(page: Page, api, complaints) -> None:
    # Given an archive that arrives, and a connection that breaks before the answer
    complaints.expected = ("net::ERR_CONNECTION_RESET",)

    def lose(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    page.route("**/v1/jobs/*/items", lose, times=1)
    page.goto("/")
    archive = {"name": "all.zip", "mimeType": "application/zip", "buffer": odd.zip_archive()}
    page.set_input_files("#files", archive)
    page.click("#start")
    expect(page.locator("#notice")).to_contain_text("The connection was lost.")
    # Then the page sends it again by itself, and its pictures are there once
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    once = api.status(api.job([("all.zip", odd.zip_archive())]))["counts"]
    assert api.status(page.url.split("/")[-1])["counts"] == once


def test_a_dropped_folder_is_read_to_its_end(page: Page, tmp_path) -> None:
    """A browser gives a folder's entries a hundred at a time."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(250):
        (folder / f"{number}.png").write_bytes(SAMPLES[number % 40].read_bytes())
    (folder / "below").mkdir()
    (folder / "below" / "last.png").write_bytes(SAMPLES[0].read_bytes())
    (folder / "odd").mkdir()
    (folder / "odd" / os.fsdecode(b"caf\xe9.png")).touch()  # no UTF-8, at which Chromium gives the folder up
    page.goto("/")
    drop(page, folder, SAMPLES[1])
    expect(page.locator("#chosen-title")).to_contain_text("252 pictures")
    expect(page.locator("#left-out li")).to_have_text("many/odd/ (cannot be read on this computer)")
    expect(page.locator("body")).not_to_have_class(re.compile("dragging"))


def drop(page: Page, *paths: object) -> None:
    """Drag files or folders from outside over the page, and let go; playwright has no call for it, but Chromium has."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 640, "y": 300, "data": data})


def test_pasted_pictures(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/")
    page.evaluate(
        """async (content) => {
            const blob = new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], {type: "image/png"});
            await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }""",
        base64.b64encode(SAMPLES[0].read_bytes()).decode(),
    )
    page.click("#paste")
    expect(page.locator("#chosen-title")).to_contain_text("1 picture,")
    page.keyboard.press("Control+V")
    expect(page.locator("#chosen-title")).to_contain_text("2 pictures,")


def test_a_phone_offers_its_camera(browser, service) -> None:
    context = browser.new_context(base_url=service.url, viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#camera")).to_have_attribute("capture", "environment")
    with page.expect_file_chooser() as asked:
        page.tap("#pick-camera")
    asked.value.set_files(str(SAMPLES[0]))
    expect(page.locator("#chosen-title")).to_contain_text("1 picture")
    context.close()


def test_sample_pictures_take_one_click(page: Page, api) -> None:
    opened: list[str] = []
    page.on("request", lambda request: opened.append(request.url) if request.method == "POST" else None)
    page.goto("/")
    page.dblclick("#samples")  # a second one is no second upload
    page.wait_for_url(RESULT)
    assert [url for url in opened if url.endswith("/v1/jobs")] == opened[:1]
    expect(page.locator("#state")).to_have_text("Done")
    items = api.results(page.url.split("/")[-1])
    assert len(items) == 10
    assert sorted(item["filename"] for item in items) == sorted(SAMPLE_NAMES)
    assert all(item["filename"] == f"{item['predictions'][0]['label']}.png" for item in items)


@pytest.fixture
def holiday_photo(tmp_path):
    """Three megapixels of a real picture, lying on its side with the EXIF orientation that turns it, and a place."""
    (frog,) = [path for path in SAMPLES if path.name == "frog-7.png"]
    upright = Image.open(frog).convert("RGB").resize((1536, 2048), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    path = tmp_path / "holiday.jpg"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, quality=97, exif=exif)
    return path


def test_a_big_photo_is_scaled_down_before_it_is_sent(page: Page, api, holiday_photo) -> None:
    # Given a big photo beside a small picture
    choose(page, holiday_photo, SAMPLES[0])
    expect(page.locator("#scale")).to_be_checked()
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    job = page.url.split("/")[-1]
    small, photo = sorted(api.results(job), key=lambda item: item["filename"])
    assert small["sha256"] == hashlib.sha256(SAMPLES[0].read_bytes()).hexdigest()
    # Then the photo arrives upright, smaller, and without its metadata
    assert (photo["width"], photo["height"]) == (384, 512)
    assert photo["bytes"] < holiday_photo.stat().st_size / 5
    stored = api.ask("GET", f"/v1/jobs/{job}/items/{photo['key']}/image").content
    assert not Image.open(io.BytesIO(stored)).getexif()
    # When the same is sent with the switch off
    choose(page, holiday_photo)
    page.uncheck("#scale")
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    (whole,) = api.results(page.url.split("/")[-1])
    # Then its bytes arrive, under the same key and with the same answer; and the switch stays as it was left
    assert whole["sha256"] == hashlib.sha256(holiday_photo.read_bytes()).hexdigest()
    assert whole["key"] == photo["key"]
    assert whole["predictions"][0]["label"] == photo["predictions"][0]["label"] == "frog"
    page.goto("/")
    expect(page.locator("#scale")).not_to_be_checked()


def test_what_the_browser_cannot_scale_is_sent_as_it_is(page: Page, api, tmp_path) -> None:
    scan = make.encode(make.pixels(400, 600), "TIFF")
    (tmp_path / "scan.tif").write_bytes(scan)
    choose(page, tmp_path / "scan.tif")
    page.click("#start")
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_text("Done")
    assert api.results(page.url.split("/")[-1])[0]["sha256"] == hashlib.sha256(scan).hexdigest()


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
