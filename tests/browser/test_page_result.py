"""The result page: live results, paging, filters, and its buttons."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import Api, Complaints, pictures, wait_until_true
from tests.fixtures import make, odd
from tests.fixtures.archives import raw_zip

#: Milliseconds before the page retries a failed read.
RETRY_MS = 4000


@pytest.fixture(scope="session")
def big_job(api: Api) -> str:
    return api.job(pictures(130))


def keys(page: Page) -> list[str]:
    return page.locator(".card-item").evaluate_all("cards => cards.map((card) => card.dataset.key)")


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#state")).to_have_attribute("data-state", state)


def test_a_reload_while_pictures_arrive(page: Page, api: Api) -> None:
    # Given an open job
    job = api.open_job(pictures(30))
    page.goto(f"/result/{job}")
    expect(page.locator(".card-item")).to_have_count(30)
    # When the page is reloaded, more pictures arrive, and the job is closed
    page.reload()
    expect(page.locator(".card-item")).to_have_count(30)
    api.ask("POST", f"/v1/jobs/{job}/items", files=[("files", part) for part in pictures(50)[30:]])
    page.click("#seal")
    # Then the page shows each picture once
    expect_state(page, "succeeded")
    expect(page.locator("#seal")).to_be_hidden()
    expect(page.locator(".card-item")).to_have_count(50)
    assert len(set(keys(page))) == 50


def test_pages_of_results(page: Page, big_job: str) -> None:
    page.goto(f"/result/{big_job}")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    seen = keys(page)
    page.locator(".pick").nth(2).click()
    # Two clicks before the answer turn one page
    page.locator("#next").evaluate("next => { next.click(); next.click(); }")
    expect(page.locator("#place")).to_have_text("61–120 of 130")
    expect(page.locator("#answer")).to_contain_text("60")
    seen += keys(page)
    # A selection on the previous page does not start a range here
    page.locator(".pick").nth(4).click(modifiers=["Shift"])
    expect(page.locator("#answer")).to_contain_text("1 ")
    expect(page.locator(".card-item.selected .thumb")).to_have_attribute("aria-describedby", "is-selected")
    # The skip link does not turn the page
    page.locator(".skip-link").press("Enter")
    page.click("#next")
    expect(page.locator("#place")).to_have_text("121–130 of 130")
    expect(page.locator("#next")).to_be_disabled()
    seen += keys(page)
    assert len(seen) == len(set(seen)) == 130

    page.click("#previous")
    expect(page.locator("#place")).to_have_text("61–120 of 130")
    assert keys(page) == seen[60:120]
    page.reload()
    expect(page.locator("#place")).to_have_text("61–120 of 130")
    page.go_back()
    expect(page.locator("#place")).to_have_text("121–130 of 130")


def test_filters(page: Page, api: Api, big_job: str) -> None:
    # Given a filter by class, which survives a reload
    wanted = {item["key"] for item in api.results(big_job, label="cat")}
    assert 0 < len(wanted) <= 60
    page.goto(f"/result/{big_job}")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    page.click("#classes button:text-is('cat')")
    expect(page.locator("#place")).to_have_text(f"1–{len(wanted)} of {len(wanted)}")
    assert set(keys(page)) == wanted
    page.reload()
    expect(page.locator("#place")).to_have_text(f"1–{len(wanted)} of {len(wanted)}")
    expect(page.locator("#classes button[aria-pressed=true]")).to_have_text("cat")
    expect(page).to_have_url(re.compile(r"\?label=cat$"))
    page.click("#classes button:text-is('cat')")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    # By name and confidence
    page.locator("[name=filename]").type("PICTURE-001")
    expect(page.locator(".card-item")).to_have_count(10)
    expect(page).to_have_url(re.compile(r"\?filename=PICTURE-001$"))
    page.locator("[name=max_score]").fill("95")
    page.locator("[name=max_score]").press("Enter")
    expect(page).to_have_url(re.compile("max_score=0.95"))
    wanted = {item["key"] for item in api.results(big_job, filename="picture-001", max_score=0.95)}
    expect(page.locator(".card-item")).to_have_count(len(wanted))
    assert set(keys(page)) == wanted
    # Without a match
    page.select_option("#outcome", "failed")
    expect(page.locator("#empty")).to_be_visible()
    page.click("#unfilter")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    expect(page).to_have_url(re.compile(f"/{big_job}$"))
    # Sorted by confidence
    page.select_option("#sort", "score")
    expected = [item["key"] for item in api.results(big_job, sort="score")][:60]
    expect(page.locator(".card-item").first).to_have_attribute("data-key", expected[0])
    assert keys(page) == expected


def test_a_failed_read_is_retried(page: Page, big_job: str, complaints: Complaints) -> None:
    complaints.expected = ("503",)
    page.clock.install()
    page.goto(f"/result/{big_job}")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    page.route("**/results?*", lambda route: route.fulfill(status=503, json={"title": "Unavailable"}))
    page.click("#next")
    expect(page.locator("#notice")).to_be_visible()
    expect(page.locator("#answer")).to_be_empty()
    page.unroute("**/results?*")
    page.clock.fast_forward(RETRY_MS)
    expect(page.locator("#place")).to_have_text("61–120 of 130")
    expect(page.locator("#notice")).to_be_hidden()


def test_cancel_and_delete(page: Page, api: Api, complaints: Complaints) -> None:
    complaints.expected = ("404",)
    job = api.open_job(pictures(3))
    page.goto(f"/result/{job}")
    expect(page.locator("#delete")).to_be_hidden()
    page.click("#cancel")
    expect_state(page, "cancelled")
    page.click("#delete")
    page.click("#confirm button[value=keep]")
    expect(page.locator("#confirm")).to_be_hidden()
    assert api.status(job)["state"] == "cancelled"
    # A job that was deleted elsewhere is reported
    page.route(f"**/v1/jobs/{job}", lambda route: route.fulfill(status=404, json={"title": "x", "detail": "is gone"}))
    page.click("#delete")
    page.click("#confirm button[value=delete]")
    expect(page.locator("#notice")).to_contain_text("Is gone.")
    page.unroute(f"**/v1/jobs/{job}")
    page.click("#delete")
    page.click("#confirm button[value=delete]")
    page.wait_for_url("**/jobs")
    expect(page.locator(f"tr[data-job='{job}']")).to_have_count(0)


def test_waiting_and_running(page: Page, api: Api) -> None:
    """Real jobs finish too fast to see this, so the status is made up."""
    job = api.status(api.job(pictures(2)))
    job |= {"done": False, "finished_at": None, "expires_at": None}
    waiting = job | {"state": "queued", "queue_position": 2, "progress": 0.0}
    running = job | {"state": "running", "eta_s": 75}
    answers = [waiting] + [
        running | {"counts": job["counts"] | {"total": 5000, "succeeded": done}, "progress": done / 5000}
        for done in (1000, 1400, 1800, 2000)
    ]

    def answer(route: Route) -> None:
        route.fulfill(json=answers.pop(0) if len(answers) > 1 else answers[0])

    page.route(re.compile(f"/v1/jobs/{job['id']}\\?wait="), answer)
    page.goto(f"/result/{job['id']}")
    expect(page.locator("#note")).to_contain_text("2 jobs")
    expect_state(page, "running")
    expect(page.locator("#time")).to_have_text("1 min 15 s")
    expect(page.locator("#rate")).to_have_text(re.compile(r"^[\d,.]+$"))
    expect(page.locator("#note")).to_have_text("40 %")
    expect(page.locator("#delete")).to_be_hidden()
    expect(page.locator("#cancel")).to_be_visible()


def test_failed_files_and_retries(page: Page, api: Api, complaints: Complaints) -> None:
    # Given a job with a picture that can be retried, and files that cannot
    complaints.expected = ("409",)
    hostile = "<img src=x onerror=alert(1)>.png"
    fakes = [(f"fake-{number}.png", b"only text") for number in range(3)]
    page.goto(f"/result/{api.job([(hostile, pictures(1)[0][1]), ('cut.jpg', odd.cut(make.photo(0.1))), *fakes])}")
    expect(page.locator(".card-item:not(.card-failed) .card-file")).to_have_text(hostile)
    cut = page.locator(".card-failed", has_text="cut.jpg").locator(".card-reason")
    expect(cut.locator("code")).to_have_text("truncated")
    assert len(cut.inner_text()) > len("truncated") + 10
    # When it is retried, then each result is there once
    with page.expect_response("**/retry") as answer:
        page.click("#retry")
    assert answer.value.status == 202
    expect_state(page, "succeeded")
    expect(page.locator(".card-item")).to_have_count(5)
    assert len(set(keys(page))) == 5
    expect(page.locator("#notice")).to_be_hidden()
    # The list of failed files is complete, even if each request finds only one
    one = re.compile(r"limit=\d+")
    page.route("**/results?state=failed*", lambda route: route.continue_(url=one.sub("limit=1", route.request.url)))
    page.click("#failures summary")
    expect(page.locator("#failures-rows th")).to_have_count(4)
    assert set(page.locator("#failures-rows th").all_inner_texts()) == {"cut.jpg", *(name for name, _ in fakes)}
    # When nothing can be retried, then the page says so
    page.goto(f"/result/{api.job(fakes)}")
    page.click("#retry")
    expect(page.locator("#notice")).to_be_focused()
    expect(page.locator(".card-failed code")).to_have_text(["unsupported_format"] * 3)


def test_skipped_files_and_guessed_names(page: Page, api: Api) -> None:
    content = pictures(1)[0][1]
    archive = raw_zip(("写真/猫.png".encode("cp932"), content), (b"a/Thumbs.db", b"-"), (b"__MACOSX/._a", b"-"))
    page.goto(f"/result/{api.job([('ja.zip', archive)])}")
    expect_state(page, "succeeded")
    expect(page.locator("#guessed")).to_contain_text("The names were read as cp932. If they look wrong, ")
    expect(page.locator(".card-file")).to_have_text("写真/猫.png")
    page.click("#skipped summary")
    expect(page.locator("#skipped-names li")).to_have_text(["a/Thumbs.db (ja.zip)", "__MACOSX/._a (ja.zip)"])
    page.goto(f"/result/{api.job(pictures(1))}")
    expect_state(page, "succeeded")
    expect(page.locator("#guessed")).to_be_hidden()
    expect(page.locator("#skipped")).to_be_hidden()


def test_downloads(page: Page, api: Api) -> None:
    page.goto(f"/result/{api.job(pictures(4))}")
    expect(page.locator("#live")).to_contain_text("4 of 4")
    found = {}
    for name in ("csv", "ndjson", "json", "zip"):
        page.click("#downloads summary")
        with page.expect_download() as download:
            page.click(f"#downloads a[href*='results.{name}']")
        found[name] = download.value.path().read_bytes()
        expect(page.locator("#downloads ul")).to_be_hidden()
    assert [len(found[name].splitlines()) for name in ("csv", "ndjson")] == [5, 4]
    assert found["csv"].startswith(b"\xef\xbb\xbf"), "Excel reads UTF-8 only with a byte order mark"
    assert len(json.loads(found["json"])["data"]) == 4
    names = zipfile.ZipFile(io.BytesIO(found["zip"])).namelist()
    assert sorted(name.split("/")[1] for name in names) == [name for name, _ in pictures(4)]


def test_thumbnails_and_the_enlarged_picture(page: Page, api: Api) -> None:
    width = "document.getElementById('viewer-image').naturalWidth"
    page.goto(f"/result/{api.job([('scan.tiff', make.tiff('lzw')), *pictures(1)])}")
    expect(page.locator(".thumb img")).to_have_count(2)
    widths = [
        image.evaluate("image => image.decode().then(() => image.naturalWidth)")
        for image in page.locator(".thumb img").all()
    ]
    assert sorted(widths) == [32, 64]
    # The viewer shows the thumbnail of a file that the browser cannot show
    page.locator(".card-item", has_text="scan.tiff").locator("button").click()
    wait_until_true(page, f"{width} === 64")
    seen = colours(page)
    # While another picture loads, the previous one is not shown
    page.route("**/image", lambda _: None)
    page.click("#viewer-previous:enabled, #viewer-next:enabled")
    expect(page.locator("#viewer-name")).to_have_text("picture-0000.png")
    assert colours(page) < seen / 10  # an empty frame has few


def test_where_the_model_looked(page: Page, api: Api, complaints: Complaints) -> None:
    page.goto(f"/result/{api.job(pictures(2))}")
    page.locator("button.thumb").first.click()
    looks, heatmap, note = (page.locator(each) for each in ("#viewer-shares button", "#viewer-heatmap", "#viewer-look"))
    hint = note.text_content()
    # By keyboard, for the best class and another one
    best, other = (looks.nth(place).get_attribute("value") for place in (0, 1))
    looks.nth(0).press("Enter")
    expect(heatmap).to_be_visible()
    expect(note).to_contain_text(f"{best}:")
    wait_until_true(page, "document.getElementById('viewer-heatmap').naturalWidth === 32")
    assert heatmap.bounding_box() == page.locator("#viewer-image").bounding_box()
    looks.nth(1).press("Space")
    expect(note).to_contain_text(f"{other}:")
    expect(page.locator("#viewer-shares [aria-pressed=true]")).to_have_attribute("value", str(other))
    # A correction changes neither it nor the focus
    page.keyboard.press("3")
    expect(page.locator("#viewer-label strong")).to_have_text("cat")
    expect(heatmap).to_be_visible()
    expect(looks.nth(1)).to_be_focused()
    # Once more hides it
    looks.nth(1).press("Enter")
    expect(heatmap).to_be_hidden()
    expect(note).to_have_text(str(hint))
    # An error is said, and the next try works
    complaints.expected = ("503",)
    problem = {"title": "Service unavailable", "status": 503, "detail": "no worker has made the heatmap"}
    page.route("**/heatmap*", lambda route: route.fulfill(status=503, json=problem))
    looks.nth(2).click()
    expect(note).to_contain_text("No worker has made the heatmap.")
    expect(looks.nth(2)).to_have_attribute("aria-pressed", "false")
    page.unroute("**/heatmap*")
    looks.nth(2).click()
    expect(heatmap).to_be_visible()
    # The next picture has its own
    page.click("#viewer-next")
    expect(heatmap).to_be_hidden()
    expect(page.locator("#viewer-shares [aria-pressed=true]")).to_have_count(0)
    # While it is being made, that is said; what comes too late is not shown
    page.route("**/heatmap*", lambda _: None)
    looks.nth(0).click()
    expect(note).to_contain_text("Finding")
    page.click("#viewer-previous")
    expect(note).to_have_text(str(hint))
    expect(heatmap).to_be_hidden()


def colours(page: Page) -> int:
    """Count the colours of the enlarged picture as it is painted."""
    painted = Image.open(io.BytesIO(page.locator(".viewer-picture").screenshot())).convert("RGB")
    return len(painted.getcolors(painted.width * painted.height))
