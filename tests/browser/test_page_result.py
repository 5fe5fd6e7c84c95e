"""The result page: filling in, paging, filters, and what its buttons do."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import SCREENSHOTS, Api, pictures, wait_until_true
from tests.fixtures import make, odd

#: Milliseconds after which the page reads again what it could not read.
RETRY_MS = 4000


@pytest.fixture(scope="session")
def big_job(api: Api) -> str:
    return api.job(pictures(130))


def keys(page: Page) -> list[str]:
    return page.locator(".card-item").evaluate_all("cards => cards.map((card) => card.dataset.key)")


def test_a_reload_in_the_middle(page: Page, api: Api) -> None:
    # Given a job that more pictures may come to
    job = api.open_job(pictures(30))
    page.goto(f"/result/{job}")
    expect(page.locator(".card-item")).to_have_count(30)
    expect(page.locator("#state")).not_to_have_text("Done")
    # When the page is loaded again, and the rest comes
    page.reload()
    expect(page.locator(".card-item")).to_have_count(30)
    api.ask("POST", f"/v1/jobs/{job}/items", files=[("files", part) for part in pictures(50)[30:]])
    api.ask("POST", f"/v1/jobs/{job}/seal")
    # Then it fills in, each picture once
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator(".card-item")).to_have_count(50)
    assert len(set(keys(page))) == 50


def test_pages_of_results(page: Page, big_job: str) -> None:
    page.goto(f"/result/{big_job}")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    seen = keys(page)
    page.locator(".pick").nth(2).click()
    # Two clicks before the answer go on by one page
    page.locator("#next").evaluate("next => { next.click(); next.click(); }")
    expect(page.locator("#place")).to_have_text("61–120 of 130")
    expect(page.locator("#answer")).to_have_text("60 results on this page.")
    seen += keys(page)
    # What was selected on the page before is no end of a range here
    page.locator(".pick").nth(4).click(modifiers=["Shift"])
    expect(page.locator("#answer")).to_have_text("1 selected")
    expect(page.locator(".card-item.selected .thumb")).to_have_attribute("aria-describedby", "is-selected")
    # The link that skips the navigation leads to no other page
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


def test_filter_by_class(page: Page, api: Api, big_job: str) -> None:
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


def test_filter_by_confidence_and_name(page: Page, api: Api, big_job: str) -> None:
    page.goto(f"/result/{big_job}")
    page.get_by_label("File name").type("PICTURE-001")
    expect(page.locator(".card-item")).to_have_count(10)
    expect(page).to_have_url(re.compile(r"\?filename=PICTURE-001$"))
    page.get_by_label("Greatest confidence").fill("95")
    page.get_by_label("Greatest confidence").press("Enter")
    expect(page).to_have_url(re.compile("max_score=0.95"))
    wanted = {item["key"] for item in api.results(big_job, filename="picture-001", max_score=0.95)}
    expect(page.locator(".card-item")).to_have_count(len(wanted))
    assert set(keys(page)) == wanted
    page.click("#show-all")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    expect(page).to_have_url(re.compile(f"/{big_job}$"))


def test_least_sure_first(page: Page, api: Api, big_job: str) -> None:
    page.goto(f"/result/{big_job}")
    page.select_option("#sort", "score")
    expected = [item["key"] for item in api.results(big_job, sort="score")][:60]
    expect(page.locator(".card-item").first).to_have_attribute("data-key", expected[0])
    assert keys(page) == expected


def test_what_could_not_be_read_is_read_again(page: Page, big_job: str, complaints) -> None:
    complaints.expected = ("503",)
    page.clock.install()
    page.goto(f"/result/{big_job}")
    expect(page.locator("#place")).to_have_text("1–60 of 130")
    page.route("**/results?*", lambda route: route.fulfill(status=503, json={"title": "Unavailable"}))
    page.click("#next")
    expect(page.locator("#notice")).to_contain_text("This page tries again by itself")
    expect(page.locator("#answer")).to_be_empty()
    page.unroute("**/results?*")
    page.clock.fast_forward(RETRY_MS)
    expect(page.locator("#place")).to_have_text("61–120 of 130")
    expect(page.locator("#notice")).to_be_hidden()


def test_filter_without_a_match(page: Page, big_job: str) -> None:
    page.goto(f"/result/{big_job}?state=failed")
    expect(page.locator("#empty-text")).to_have_text("No result matches this choice.")
    page.click("#unfilter")
    expect(page.locator(".card-item")).to_have_count(60)


def test_cancel_then_delete(page: Page, api: Api) -> None:
    job = api.open_job(pictures(3))
    page.goto(f"/result/{job}")
    expect(page.locator("#delete")).to_be_hidden()
    page.click("#cancel")
    expect(page.locator("#state")).to_have_text("Cancelled")
    page.click("#delete")
    page.click("#confirm >> text=Keep it")
    expect(page.locator("#confirm")).to_be_hidden()
    assert api.status(job)["state"] == "cancelled"
    page.click("#delete")
    page.click("#confirm >> button[value=delete]")
    page.wait_for_url("**/jobs")
    expect(page.locator(f"tr[data-job='{job}']")).to_have_count(0)


def test_waiting_and_running(page: Page, api: Api) -> None:
    """Real jobs are over before a person could read this, so what the status says is made up; the page is real."""
    job = api.status(api.job(pictures(2)))
    job |= {"done": False, "finished_at": None, "expires_at": None}
    waiting = job | {"state": "queued", "queue_position": 2, "progress": 0.0}
    running = job | {"state": "running", "eta_s": 75}
    answers = [waiting] + [
        running | {"counts": job["counts"] | {"total": 5000, "succeeded": done}, "progress": done / 5000}
        for done in range(1000, 2100, 100)
    ]

    def answer(route: Route) -> None:
        route.fulfill(json=answers.pop(0) if len(answers) > 1 else answers[0])

    page.route(re.compile(f"/v1/jobs/{job['id']}\\?wait="), answer)
    page.goto(f"/result/{job['id']}")
    expect(page.locator("#note")).to_have_text("2 jobs in front of it")
    expect(page.locator("#state")).to_have_text("Running")
    expect(page.locator("#time")).to_have_text("1 min 15 s")
    expect(page.locator("#rate")).to_have_text(re.compile(r"^[1-9]\d\d?$"))  # 100 more at each look, two looks a second
    expect(page.locator("#note")).to_have_text("40 %")
    expect(page.locator("#delete")).to_be_hidden()
    expect(page.locator("#cancel")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "running-desktop-light.png")


def test_no_more_pictures(page: Page, api: Api) -> None:
    page.goto(f"/result/{api.open_job(pictures(2))}")
    page.click("#seal")
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator("#seal")).to_be_hidden()


def test_what_cannot_be_tried_again_is_explained(page: Page, api: Api, complaints) -> None:
    complaints.expected = ("409",)
    fakes = [(f"fake-{number}.png", b"only text") for number in range(3)]
    page.goto(f"/result/{api.job([*pictures(1), *fakes])}")
    page.click("#retry")
    expect(page.locator("#notice")).to_contain_text("There is nothing to try again.")
    expect(page.locator(".card-failed code")).to_have_text(["unsupported_format"] * 3)
    # Where one call finds but one, it goes on from there
    one = re.compile(r"limit=\d+")
    page.route("**/results?state=failed*", lambda route: route.continue_(url=one.sub("limit=1", route.request.url)))
    page.click("#failures summary")
    expect(page.locator("#failures-rows th")).to_have_text([name for name, _ in fakes])


def test_try_again(page: Page, api: Api) -> None:
    job = api.job([*pictures(1), ("cut.jpg", odd.cut(make.photo(0.1)))])
    page.goto(f"/result/{job}")
    expect(page.locator("#state")).to_have_text("Done")
    with page.expect_response("**/retry") as answer:
        page.click("#retry")
    assert answer.value.status == 202
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator(".card-item")).to_have_count(2)
    assert len(set(keys(page))) == 2
    expect(page.locator("#notice")).to_be_hidden()


def test_a_job_deleted_elsewhere(page: Page, api: Api, complaints) -> None:
    complaints.expected = ("404",)
    job = api.open_job(pictures(2))
    page.goto(f"/result/{job}")
    expect(page.locator(".card-item")).to_have_count(2)
    api.ask("POST", f"/v1/jobs/{job}/cancel")
    expect(page.locator("#state")).to_have_text("Cancelled")
    api.ask("DELETE", f"/v1/jobs/{job}")
    page.click("#delete")
    page.click("#confirm >> button[value=delete]")
    expect(page.locator("#notice")).to_contain_text("There is no job")


def test_downloads(page: Page, api: Api) -> None:
    page.goto(f"/result/{api.job(pictures(4))}")
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator("#live")).to_have_text("Done: 4 of 4 pictures classified.")
    found = {}
    for name in ("csv", "ndjson", "json", "zip"):
        page.click("#downloads summary")
        with page.expect_download() as download:
            page.click(f"#downloads a[href$='.{name}']")
        found[name] = download.value.path().read_bytes()
        expect(page.locator("#downloads ul")).to_be_hidden()
    assert [len(found[name].splitlines()) for name in ("csv", "ndjson")] == [5, 4]
    assert len(json.loads(found["json"])["data"]) == 4
    names = zipfile.ZipFile(io.BytesIO(found["zip"])).namelist()
    assert sorted(name.split("/")[1] for name in names) == [name for name, _ in pictures(4)]


def test_hostile_names_stay_text(page: Page, api: Api) -> None:
    name = "<img src=x onerror=alert(1)>.png"
    page.goto(f"/result/{api.job([(name, pictures(1)[0][1])])}")
    expect(page.locator(".card-file")).to_have_text(name)


def test_thumbnails_load(page: Page, api: Api) -> None:
    page.goto(f"/result/{api.job(pictures(2))}")
    expect(page.locator(".thumb img")).to_have_count(2)
    for image in page.locator(".thumb img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 32


def test_the_enlarged_picture_is_the_one_that_is_named(page: Page, api: Api) -> None:
    width = "document.getElementById('viewer-image').naturalWidth"
    page.goto(f"/result/{api.job([('scan.tiff', make.tiff('lzw')), *pictures(1)])}")
    # A file that the browser does not show is seen by its small copy
    page.locator(".card-item", has_text="scan.tiff").locator("button").click()
    wait_until_true(page, f"{width} === 64")
    seen = colours(page)
    # While another is on its way, the one before is not seen
    page.route("**/image", lambda _: None)
    page.click("#viewer-previous:enabled, #viewer-next:enabled")
    expect(page.locator("#viewer-name")).to_have_text("picture-0000.png")
    assert colours(page) < seen / 10  # an empty frame has few


def colours(page: Page) -> int:
    """How many colours the enlarged picture has, as it is painted."""
    painted = Image.open(io.BytesIO(page.locator(".viewer-picture").screenshot())).convert("RGB")
    return len(painted.getcolors(painted.width * painted.height))


@pytest.mark.parametrize("job", ["0" * 32, "nonsense"])
def test_unknown_job(page: Page, complaints, job: str) -> None:
    complaints.expected = ("404",)
    assert page.goto(f"/result/{job}").status == 404
    expect(page.locator("h1")).to_have_text("Not found")
    expect(page.locator("main")).to_contain_text("There is no job at this address.")
    page.click("text=See all jobs")
    expect(page).to_have_url(re.compile("/jobs$"))
