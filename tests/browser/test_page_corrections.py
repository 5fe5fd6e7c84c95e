"""Corrections on the result page, by pointer and keyboard, of one picture and many; and a job with many results."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from shared.domain.entities import ItemState, JobKind, Outcome, Prediction, Queue, Upload, blob_key
from shared.jobs.chunks import ChunkStore
from shared.jobs.store import JobStore
from tests.browser.kit import SAMPLES, SIZES, Api, pictures, wait_until_true
from tests.conftest import Service, wait_until
from tests.integration.helpers import redis_of

#: Results of a job that fills many pages.
MANY = 3000


@pytest.fixture
def job(api: Api) -> str:
    return api.job(pictures(8))


def corrected(api: Api, job: str) -> dict[str, str | None]:
    return {item["filename"]: item["corrected_label"] for item in api.results(job)}


def count_of(page: Page, label: str):
    return page.locator("#classes tr", has=page.locator(f"button:text-is('{label}')")).locator("td")


def is_focused(page: Page, place: int) -> None:
    expect(page.locator("button.thumb").nth(place)).to_be_focused()


def test_the_keyboard_alone(page: Page, api: Api, job: str) -> None:
    page.goto(f"/result/{job}")
    expect(page.locator("button.thumb")).to_have_count(8)
    names = page.locator(".card-file").all_text_contents()
    # When a key is pressed while no picture has the focus, then the page says how to correct one
    page.keyboard.press("8")
    expect(page.locator("#keys-hint")).to_contain_text("Enlarge a picture")
    # Given the focus on the first picture, which is the only tab stop
    assert page.locator("button.thumb[tabindex='0']").count() == 1
    page.locator("button.thumb").first.focus()
    for key, place in (("ArrowRight", 1), ("ArrowDown", 5), ("ArrowLeft", 4), ("ArrowUp", 0), ("End", 7), ("Home", 0)):
        page.keyboard.press(key)
        is_focused(page, place)
    # When 8 is pressed, then it is corrected to ship
    page.keyboard.press("8")
    expect(page.locator(".card-item h3 span").first).to_have_text("ship")
    expect(page.locator("#corrected-count")).to_have_text("1")
    expect(count_of(page, "ship").nth(1)).to_have_text("1")
    expect(page.locator("#keys-hint")).to_be_hidden()
    # When two are selected and 3 is pressed on one of them, then both are corrected to cat
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("3")
    expect(page.locator("#corrected-count")).to_have_text("3")
    assert corrected(api, job) == dict.fromkeys(names) | dict(zip(names, ("ship", "cat", "cat"), strict=False))
    # When the enlarged picture is corrected, then so is its card, and undo works step by step
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator("#viewer-name")).to_have_text(names[7])
    expect(page.locator("#viewer-shares li")).to_have_count(5)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#viewer-name")).to_have_text(names[6])
    page.keyboard.press("6")
    expect(page.locator("#viewer-label strong")).to_have_text("frog")
    page.keyboard.press("Escape")
    is_focused(page, 6)
    for left, key in (("3", "u"), ("1", "Control+z")):
        page.keyboard.press(key)
        expect(page.locator("#corrected-count")).to_have_text(left)
    assert corrected(api, job) == dict.fromkeys(names) | {names[0]: "ship"}


def test_corrected_pictures_go_into_a_dataset_of_something_else_only_if_it_is_chosen(
    page: Page, api: Api, job: str
) -> None:
    api.ask("POST", "/v1/datasets", json={"name": "something-else"})
    try:
        page.goto(f"/result/{job}")
        page.locator("button.thumb").first.press("8")
        expect(page.locator("#take-button")).to_be_disabled()
        page.select_option("#take-dataset", "something-else")
        page.click("#take-button:has-text('Put 1 corrected picture into something-else')")
        expect(page.locator("#take-result strong")).to_have_text("1 picture added.")
    finally:
        api.ask("DELETE", "/v1/datasets/something-else")


def test_corrections_in_quick_succession(page: Page, api: Api, job: str) -> None:
    held: list[Route] = []

    def delay_first(route: Route) -> None:
        if route.request.method == "GET" and not held:
            held.append(route)
        else:
            route.continue_()

    counts = api.ask("GET", f"/v1/jobs/{job}/labels").json()
    page.goto(f"/result/{job}")
    expect(page.locator("button.thumb")).to_have_count(8)
    expect(count_of(page, "cat").first).not_to_have_text("–")
    label = page.locator(".card-item h3 span").first
    predicted = label.text_content()
    page.route("**/labels", delay_first)
    # When two keys are pressed on a picture before the first is answered
    page.locator("button.thumb").first.evaluate(
        "thumb => [...'35'].forEach((key) => thumb.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })))"
    )
    expect(count_of(page, "dog").nth(1)).to_have_text("1")
    # Then counts that arrive late are ignored
    with page.expect_response("**/labels") as answer:
        held[0].fulfill(json=counts)
    answer.value.finished()
    page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    assert count_of(page, "dog").nth(1).text_content() == "1"
    # And undo works step by step
    for before in ("cat", predicted):
        page.click("#undo")
        expect(label).to_have_text(before)


def test_keys_while_results_arrive(page: Page, api: Api) -> None:
    job, files = api.open_job(pictures(5)), pictures(12)
    page.goto(f"/result/{job}?sort=score")
    expect(page.locator("button.thumb")).to_have_count(5)
    # When others are inserted before a focused picture, then it keeps the focus
    key = page.locator(".card-item").nth(2).get_attribute("data-key")
    card = page.locator(f".card-item[data-key='{key}']")
    card.locator("button").focus()
    api.ask("POST", f"/v1/jobs/{job}/items", files=[("files", part) for part in files[5:8]])
    expect(page.locator("button.thumb")).to_have_count(8)
    page.keyboard.press("3")
    expect(card.locator("h3 span")).to_have_text("cat")
    # While it is enlarged, the page does not change
    page.keyboard.press("Enter")
    place = page.locator("#viewer-place").text_content()
    api.ask("POST", f"/v1/jobs/{job}/items", files=[("files", part) for part in files[8:]])
    expect(page.locator("#succeeded")).to_have_text("12")
    page.keyboard.press("8")
    expect(page.locator("#viewer-label strong")).to_have_text("ship")
    expect(page.locator("#viewer-place")).to_have_text(place)
    page.keyboard.press("Escape")
    expect(page.locator("button.thumb")).to_have_count(12)
    expect(card.locator("button")).to_be_focused()
    # When it leaves the page, then the one in its place gets the focus
    page.select_option("#corrected", "false")
    expect(page.locator("button.thumb")).to_have_count(11)
    page.locator("button.thumb").nth(1).focus()
    page.keyboard.press("6")
    expect(page.locator("button.thumb")).to_have_count(10)
    is_focused(page, 1)
    api.ask("POST", f"/v1/jobs/{job}/cancel")


def test_correcting_a_selection_by_pointer_on_a_phone(page: Page, api: Api, job: str) -> None:
    page.set_viewport_size(SIZES["phone"])
    page.goto(f"/result/{job}")
    page.locator(".pick").nth(1).click()
    page.locator(".pick").nth(4).click(modifiers=["Shift"])
    expect(page.locator("#selected-count")).to_contain_text("4")
    page.select_option("#selected-label", "horse")
    page.click("#selected-correct")
    expect(page.locator("#undo-text")).to_contain_text("horse")
    expect(page.locator("#selected")).to_be_hidden()
    expect(page.locator("button.thumb[tabindex='0']")).to_be_focused()  # the clicked button is hidden
    assert list(corrected(api, job).values()).count("horse") == 4
    # The filter finds them, also after a reload
    page.select_option("#corrected", "true")
    expect(page.locator(".card-item")).to_have_count(4)
    page.reload()
    expect(page.locator(".card-item")).to_have_count(4)
    page.locator("button.thumb").first.click()
    page.click("#viewer-labels button[value=deer]")
    expect(page.locator("#viewer-label strong")).to_have_text("deer")
    page.click("#viewer-undo")
    expect(page.locator("#viewer-label strong")).to_have_text("horse")
    page.click("#viewer-close")
    assert set(corrected(api, job).values()) == {None, "horse"}
    # Deleting names what gets lost
    page.click("#delete")
    expect(page.locator("#confirm-text li")).to_have_count(3)
    expect(page.locator("#confirm-text li").last).to_contain_text("4 corrections")


@pytest.fixture(scope="module")
def many(service: Service, api: Api) -> Iterator[str]:
    """A finished job with MANY items, written to the job store; their bytes are the few sample pictures."""
    client = redis_of(service)
    store, chunks = JobStore(client), ChunkStore(client)
    job = store.create(JobKind.CLASSIFICATION, retention_s=3600, model=api.champion())
    contents = {hashlib.sha256(path.read_bytes()).hexdigest(): path.read_bytes() for path in SAMPLES}
    for digest, content in contents.items():
        target = service.data_dir / "blobs" / blob_key(job, digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    digests = list(contents)
    uploads = [
        Upload(f"{n:06}", f"shoot/IMG_{n:05}.png", 2000, digests[n % len(digests)], "image/png", 32, 32)
        for n in range(MANY)
    ]
    store.add(job, uploads, MANY)
    store.seal(job)
    # The service's workers claim some of its chunks too.
    while chunk := chunks.claim("test", [Queue.BULK]):
        chunks.commit(chunk, {upload.key: outcome(int(upload.key)) for upload in chunk.uploads})
    wait_until(lambda: store.get(job).state.done, "the big job is done")
    client.close()
    yield job
    api.ask("DELETE", f"/v1/jobs/{job}")


def outcome(number: int) -> Outcome:
    score = 0.3 + 0.7 * (number * 7919 % MANY) / MANY
    best, rest = Prediction(number % 10, score), (1 - score) / 5
    return Outcome(ItemState.SUCCEEDED, (best, *(Prediction((number + n) % 10, rest) for n in range(1, 5))))


def test_a_job_with_many_results(page: Page, many: str) -> None:
    page.goto(f"/result/{many}")
    expect(page.locator("#place")).to_have_text(f"1–60 of {MANY:,}")
    page.click("#next")
    expect(page.locator("#place")).to_have_text(f"61–120 of {MANY:,}")
    page.select_option("#sort", "score")
    expect(page.locator("#place")).to_have_text(f"1–60 of {MANY:,}")
    page.locator("[name=filename]").fill(f"IMG_{MANY - 1:05}")  # the last of them
    expect(page.locator(".card-item")).to_have_count(1)
    page.click("#show-all")
    page.click("#classes button:text-is('dog')")
    expect(page.locator("#place")).to_have_text(re.compile(r"^1–60 of \d{3}$"))  # only dogs
    page.locator(".pick").first.click()
    page.click("#selected-page")
    expect(page.locator("#selected-count")).to_contain_text("60")
    page.click("#selected-correct")
    expect(page.locator("#undo-text")).to_contain_text("60 pictures")
    page.locator("button.thumb").first.click()
    wait_until_true(page, "document.getElementById('viewer-image').naturalWidth === 32")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("u")
    expect(page.locator("#viewer-label.corrected")).to_have_count(0)
    page.keyboard.press("Escape")
    assert page.locator(".card-item").count() == 60
    assert page.locator("*").count() < 3000  # the page does not grow with the job
