"""Correcting on the result page, by mouse and by keyboard, single and many; and a page in front of 20,000 results."""

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

MANY = 20_000
#: Milliseconds that no task of the page may take.
LONGEST_TASK_MS = 200
LISTEN = """
    window.tasks = [];
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => Math.round(entry.duration))))
        .observe({ type: "longtask", buffered: true });
"""


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
    # Given the focus on the first picture, the only one that Tab stops at
    assert page.locator("button.thumb[tabindex='0']").count() == 1
    page.locator("button.thumb").first.focus()
    for key, place in (("ArrowRight", 1), ("ArrowDown", 5), ("ArrowLeft", 4), ("ArrowUp", 0), ("End", 7), ("Home", 0)):
        page.keyboard.press(key)
        is_focused(page, place)
    # When 8 is pressed, then it is a ship
    page.keyboard.press("8")
    expect(page.locator(".card-item h3 span").first).to_have_text("ship")
    expect(page.locator("#corrected-count")).to_have_text("1")
    expect(count_of(page, "ship").nth(1)).to_have_text("1")
    # When two are selected and 3 is pressed on one of them, then both are cats
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("3")
    expect(page.locator("#corrected-count")).to_have_text("3")
    assert corrected(api, job) == dict.fromkeys(names) | dict(zip(names, ("ship", "cat", "cat"), strict=False))
    # When the enlarged picture is corrected, then its card is too, and undoing goes back step by step
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


def test_one_correction_upon_another(page: Page, api: Api, job: str) -> None:
    held: list[Route] = []

    def overtaken(route: Route) -> None:
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
    page.route("**/labels", overtaken)
    # When two keys are pressed on a picture before the first has been answered
    page.locator("button.thumb").first.evaluate(
        "thumb => [...'35'].forEach((key) => thumb.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })))"
    )
    expect(count_of(page, "dog").nth(1)).to_have_text("1")
    # Then counts that come late change nothing
    with page.expect_response("**/labels") as answer:
        held[0].fulfill(json=counts)
    answer.value.finished()
    page.evaluate("new Promise((resolve) => setTimeout(resolve))")
    assert count_of(page, "dog").nth(1).text_content() == "1"
    # And undoing goes back step by step
    for before in ("cat", predicted):
        page.click("#undo")
        expect(label).to_have_text(before)


def test_keys_while_results_come_in_between(page: Page, api: Api) -> None:
    job, files = api.open_job(pictures(5)), pictures(12)
    page.goto(f"/result/{job}?sort=score")
    expect(page.locator("button.thumb")).to_have_count(5)
    # Given a picture with the focus, when others come in front of it, then it keeps the focus and its keys
    key = page.locator(".card-item").nth(2).get_attribute("data-key")
    card = page.locator(f".card-item[data-key='{key}']")
    card.locator("button").focus()
    api.ask("POST", f"/v1/jobs/{job}/items", files=[("files", part) for part in files[5:8]])
    expect(page.locator("button.thumb")).to_have_count(8)
    page.keyboard.press("3")
    expect(card.locator("h3 span")).to_have_text("cat")
    # While it is enlarged, the page stays as it is
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
    # Where it goes, the one in its place gets the focus
    page.select_option("#corrected", "false")
    expect(page.locator("button.thumb")).to_have_count(11)
    page.locator("button.thumb").nth(1).focus()
    page.keyboard.press("6")
    expect(page.locator("button.thumb")).to_have_count(10)
    is_focused(page, 1)
    api.ask("POST", f"/v1/jobs/{job}/cancel")


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_correcting_a_selection_by_pointer(page: Page, api: Api, job: str, size: str) -> None:
    page.set_viewport_size(SIZES[size])
    page.goto(f"/result/{job}")
    page.locator(".pick").nth(1).click()
    page.locator(".pick").nth(4).click(modifiers=["Shift"])
    expect(page.locator("#selected-count")).to_have_text("4 selected")
    page.select_option("#selected-label", "horse")
    page.click("#selected-correct")
    expect(page.locator("#undo-text")).to_have_text("4 pictures are now: horse.")
    expect(page.locator("#selected")).to_be_hidden()
    expect(page.locator("button.thumb[tabindex='0']")).to_be_focused()  # the button that was pressed is hidden
    assert list(corrected(api, job).values()).count("horse") == 4
    # Corrected ones are found by their class and by that they were corrected, after a reload too
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


def test_what_was_corrected_is_named_before_it_is_deleted(page: Page, api: Api, job: str) -> None:
    key = api.results(job)[0]["key"]
    api.ask("PUT", f"/v1/jobs/{job}/items/{key}/label", json={"label": "frog"})
    page.goto(f"/result/{job}")
    expect(page.locator("#corrected-count")).to_have_text("1")
    page.click("#delete")
    expect(page.locator("#confirm-text li")).to_have_text(
        [
            "8 pictures, as they were uploaded",
            "the results, 8 of them with a class",
            "1 correction: no model can learn from them any more",
        ]
    )


@pytest.fixture(scope="module")
def many(service: Service, api: Api) -> Iterator[str]:
    """A finished job of 20,000 items, put into the job store; their bytes are the few sample pictures."""
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
    # The service's own workers take some of it too.
    while chunk := chunks.claim("test", [Queue.BULK]):
        chunks.commit(chunk, {upload.key: outcome(int(upload.key)) for upload in chunk.uploads})
    wait_until(lambda: store.get(job).state.done, "the big job is over")
    client.close()
    yield job
    api.ask("DELETE", f"/v1/jobs/{job}")


def outcome(number: int) -> Outcome:
    score = 0.3 + 0.7 * (number * 7919 % MANY) / MANY
    best, rest = Prediction(number % 10, score), (1 - score) / 5
    return Outcome(ItemState.SUCCEEDED, (best, *(Prediction((number + n) % 10, rest) for n in range(1, 5))))


def test_a_page_of_20_000_results_stays_responsive(page: Page, many: str) -> None:
    page.add_init_script(LISTEN)
    page.goto(f"/result/{many}")
    expect(page.locator("#place")).to_have_text("1–60 of 20,000")
    page.click("#next")
    expect(page.locator("#place")).to_have_text("61–120 of 20,000")
    page.select_option("#sort", "score")
    expect(page.locator("#place")).to_have_text("1–60 of 20,000")
    page.get_by_label("File name").fill("IMG_19999")  # the last of them
    expect(page.locator(".card-item")).to_have_count(1)
    page.click("#show-all")
    page.click("#classes button:text-is('dog')")
    expect(page.locator("#place")).to_have_text(re.compile(r"^1–60 of [12],\d{3}$"))  # only dogs
    page.locator(".pick").first.click()
    page.click("#selected-page")
    expect(page.locator("#selected-count")).to_have_text("60 selected")
    page.click("#selected-correct")
    expect(page.locator("#undo-text")).to_have_text("60 pictures are now: airplane.")
    page.locator("button.thumb").first.click()
    wait_until_true(page, "document.getElementById('viewer-image').naturalWidth === 32")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("u")
    expect(page.locator("#viewer-label small")).not_to_contain_text("was")
    page.keyboard.press("Escape")
    assert page.locator(".card-item").count() == 60
    assert page.locator("*").count() < 3000
    tasks = page.evaluate("tasks")
    print("longest tasks, ms:", sorted(tasks)[-5:])
    assert max(tasks, default=0) < LONGEST_TASK_MS
