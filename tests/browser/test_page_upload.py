"""The upload page, from choosing files to the result."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.kit import SAMPLES, Api, Complaints, Gate, folder_of
from tests.conftest import ROOT
from tests.fixtures import make, odd

SAMPLE_NAMES = [path.name for path in (ROOT / "web" / "static" / "samples").iterdir()]
RESULT = re.compile(r"/result/[0-9a-f]{32}$")


def choose(page: Page, *files: object, selector: str = "#files") -> None:
    page.goto("/")
    page.set_input_files(selector, [str(file) for file in files] if selector == "#files" else str(files[0]))


def finish(page: Page) -> str:
    """Wait until the upload is classified, and return its job's id."""
    page.wait_for_url(RESULT)
    expect(page.locator("#state")).to_have_attribute("data-state", "succeeded")
    return page.url.split("/")[-1]


def test_pictures_by_keyboard_with_live_progress(page: Page, api: Api) -> None:
    # Given an upload that is chosen and started by keyboard, whose only batch is held back.
    # The listener is added before the page is opened, since a key press may be faster than adding it.
    page.on("filechooser", lambda chooser: chooser.set_files([str(path) for path in SAMPLES]))
    gate = Gate(page, after=0)
    page.goto("/")
    page.locator("#pick-files").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#start")).to_be_focused()
    expect(page.locator("#chosen-title")).to_contain_text("40 pictures")
    with page.expect_request("**/v1/jobs/*/items"):
        page.keyboard.press("Enter")
    # Then the page shows that it is sending, and stays
    expect(page.locator("#sent-files")).to_have_text(re.compile(r"^\d+ of 40$"))
    expect(page.locator("#drop")).to_be_hidden()
    # When it continues, then the cards show what the API returns
    gate.let_go()
    items = api.results(finish(page))
    expect(page.locator(".card-item")).to_have_count(40)
    for item in [item for item in items if not item["unknown"]][:5]:
        best = item["predictions"][0]
        shown = page.locator(f".card-item[data-key='{item['key']}']")
        expect(shown.locator("h3 span")).to_have_text(best["label"])
        expect(shown.locator("h3 small")).to_contain_text(str(best["index"]))
        expect(shown.locator(".shares li")).to_have_count(3)
        expect(shown.locator(".card-file")).to_have_text(item["filename"])


def test_a_folder_of_300_is_classified_while_it_is_sent(page: Page, tmp_path: Path) -> None:
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
    finish(page)
    expect(page.locator("#title")).to_have_text("holiday")
    expect(page.locator("#succeeded")).to_have_text("300")
    expect(page.locator(".card-item")).to_have_count(60)
    expect(page.locator("#place")).to_have_text("1–60 of 300")


def test_a_rejected_file_is_named(page: Page, complaints: Complaints) -> None:
    complaints.expected = ("413",)
    page.route("**/v1/jobs/*/items", lambda route: route.fulfill(status=413, body="<h1>Too large</h1>"))
    choose(page, SAMPLES[0])
    page.click("#start")
    expect(page.locator("#notice")).to_contain_text(SAMPLES[0].name)
    expect(page.locator("#drop")).to_be_visible()


def test_files_are_checked_by_their_content_before_anything_is_sent(page: Page, tmp_path: Path) -> None:
    good = {
        "photo.jpg": make.photo(0.01),
        "graphic.gif": make.animated("GIF"),
        "web.webp": make.animated("WEBP"),
        "bitmap.bmp": make.encode(make.pixels(8, 8), "BMP"),
        "scan.tif": make.tiff("lzw"),
        "new.avif": make.avif(),
        "phone.heic": make.heic(),
        "an archive.png": odd.zip_archive(),
    }
    bad = {
        "empty.png": b"",
        "fake.jpg": b"only text",
        "film.png": b"\0\0\0\x18ftypisom" + bytes(100),
        "notes <b>bold.txt": b"hello",
        "raw.nef": make.tiff("plain"),
    }
    for name, content in (good | bad).items():
        (tmp_path / name).write_bytes(content)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    # Given only a bad file, then it is named
    choose(page, tmp_path / "notes <b>bold.txt")
    expect(page.locator("#notice")).to_contain_text("notes <b>bold.txt")
    expect(page.locator("#drop")).to_be_visible()
    # Given good ones beside bad ones, then only those are chosen
    page.set_input_files("#files", [str(tmp_path / name) for name in good | bad])
    expect(page.locator("#chosen-title")).to_contain_text("7 pictures and 1 archive")
    expect(page.locator("#left-out li .file-name")).to_have_text(list(bad))
    expect(page.locator("#start")).to_contain_text("7 pictures and 1 archive")
    assert not sent


def test_archives_beside_pictures(page: Page, api: Api, tmp_path: Path) -> None:
    (tmp_path / "more.zip").write_bytes(odd.zip_archive())
    (tmp_path / "more.tar").write_bytes(odd.tar_archive())
    choose(page, *SAMPLES[:20], tmp_path / "more.zip", tmp_path / "more.tar")
    expect(page.locator(".limits div", has_text="One archive")).to_contain_text("4 GB")
    page.click("#start")
    total = api.status(finish(page))["counts"]["total"]
    alone = [api.status(api.job([(n, (tmp_path / n).read_bytes())]))["counts"] for n in ("more.zip", "more.tar")]
    assert total == 20 + sum(counts["total"] for counts in alone)


def test_waiting_leaving_and_cancelling(page: Page, api: Api, complaints: Complaints) -> None:
    # Given an upload that the service asks to wait for an hour
    complaints.expected = ("429",)
    exhausted = {"title": "Too many requests", "detail": "the quota of 20 items per hour is used up"}
    page.route(
        "**/v1/jobs/*/items",
        lambda route: route.fulfill(status=429, json=exhausted, headers={"Retry-After": "3600"}),
    )
    choose(page, *SAMPLES)
    page.click("#start")
    # Then the page shows why and until when, and asks before it is left
    expect(page.locator("#notice")).to_contain_text("The quota of 20 items per hour is used up.")
    expect(page.locator("#notice")).to_contain_text(re.compile(r"after .*\d:\d\d"))
    with page.expect_event("dialog") as asked:
        page.evaluate("setTimeout(() => location.assign('/jobs'))")
    assert asked.value.type == "beforeunload"
    asked.value.dismiss()
    expect(page.locator("#sending")).to_be_visible()
    # When it is cancelled, then so is its job
    page.click("#stop")
    expect(page.locator("#drop")).to_be_visible()
    job = page.locator("#notice a").get_attribute("href").split("/")[-1]
    assert api.status(job)["state"] == "cancelled"


def test_dropped_folders_and_pasted_pictures(page: Page, tmp_path: Path) -> None:
    # Given a folder with more entries than a browser returns at once, and a name that is not UTF-8
    folder = tmp_path / "many"
    (folder / "below").mkdir(parents=True)
    for number in range(110):
        (folder / f"{number}.png").write_bytes(SAMPLES[number % 40].read_bytes())
    (folder / "below" / "last.png").write_bytes(SAMPLES[0].read_bytes())
    (folder / "odd").mkdir()
    (folder / "odd" / os.fsdecode(b"caf\xe9.png")).touch()  # Chromium cannot read such a folder
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto("/")
    drop(page, folder, SAMPLES[1])
    expect(page.locator("#chosen-title")).to_contain_text("112 pictures")
    expect(page.locator("#left-out .file-name")).to_have_text("many/odd/")
    expect(page.locator("body")).not_to_have_class(re.compile("dragging"))
    # When pictures are pasted, by button and by key, then they are added
    page.click("#clear")
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


def drop(page: Page, *paths: object) -> None:
    """Drop files or folders on the page. Playwright cannot, but Chromium's protocol can."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 640, "y": 300, "data": data})


def test_a_phone_offers_its_camera(browser: Browser, service) -> None:
    context = browser.new_context(base_url=service.url, viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto("/")
    expect(page.locator("#camera")).to_have_attribute("capture", "environment")
    with page.expect_file_chooser() as asked:
        page.tap("#pick-camera")
    asked.value.set_files(str(SAMPLES[0]))
    expect(page.locator("#chosen-title")).to_contain_text("1 picture")
    context.close()


def test_sample_pictures_take_one_click(page: Page, api: Api) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    # Given another classifier, then the samples are classified by the one that knows what they show
    page.goto("/?classifier=everyday")
    expect(page.locator("#classifier")).to_have_value("everyday")
    page.dblclick("#samples")  # the second click must not start another upload
    items = api.results(finish(page))
    assert len([url for url in sent if url.endswith("/v1/jobs")]) == 1
    assert sorted(item["filename"] for item in items) == sorted(SAMPLE_NAMES)
    assert all(item["filename"] == f"{item['predictions'][0]['label']}.png" for item in items)


@pytest.fixture
def holiday_photo(tmp_path: Path) -> Path:
    """A real picture of three megapixels, stored rotated with an EXIF orientation and a location."""
    (frog,) = [path for path in SAMPLES if path.name == "frog-7.png"]
    upright = Image.open(frog).convert("RGB").resize((1536, 2048), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    path = tmp_path / "holiday.jpg"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, quality=97, exif=exif)
    return path


def test_large_photos_are_scaled_down_before_upload(page: Page, api: Api, holiday_photo: Path, tmp_path: Path) -> None:
    # Given a large photo, a small picture, and a large file that the browser cannot read
    scan = tmp_path / "scan.tif"
    scan.write_bytes(make.encode(make.pixels(400, 600), "TIFF"))
    choose(page, holiday_photo, SAMPLES[0], scan)
    expect(page.locator("#scale")).to_be_checked()
    page.click("#start")
    job = finish(page)
    items = {item["filename"]: item for item in api.results(job)}
    # Then only the photo is scaled: it arrives upright and without metadata
    for unchanged in (SAMPLES[0], scan):
        assert items[unchanged.name]["sha256"] == hashlib.sha256(unchanged.read_bytes()).hexdigest()
    photo = items[holiday_photo.name]
    assert (photo["width"], photo["height"]) == (384, 512)
    assert photo["bytes"] < holiday_photo.stat().st_size / 5
    stored = api.ask("GET", f"/v1/jobs/{job}/items/{photo['key']}/image").content
    assert not Image.open(io.BytesIO(stored)).getexif()
    # When it is sent with scaling off, then its bytes arrive, with the same key and label, and the choice is kept
    choose(page, holiday_photo)
    page.uncheck("#scale")
    page.click("#start")
    (whole,) = api.results(finish(page))
    assert whole["sha256"] == hashlib.sha256(holiday_photo.read_bytes()).hexdigest()
    assert whole["key"] == photo["key"]
    assert whole["predictions"][0]["label"] == photo["predictions"][0]["label"] == "frog"
    page.goto("/")
    expect(page.locator("#scale")).not_to_be_checked()
