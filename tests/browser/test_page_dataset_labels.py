"""The page of a Dataset: pictures get labels by key, mouse and decision; undo; labels change."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.kit import Api, Complaints, check, label_row, watch_console
from tests.conftest import wait_until
from tests.fixtures.shapes import SHAPES, drawn, encoded


@pytest.fixture(scope="module")
def dataset(api: Api) -> str:
    """A Dataset with 42 pictures under three Labels."""
    pictures = {f"{shape}/{number:02}.png": encoded(drawn(shape, number)) for shape in SHAPES for number in range(14)}
    fill(api, "others", pictures)
    return "others"


def fill(api: Api, name: str, pictures: dict[str, bytes], **options) -> None:
    """Make a Dataset, and import pictures by path."""
    api.ask("POST", "/v1/datasets", json={"name": name, **options})
    parts = [("files", part) for part in pictures.items()]
    api.finished(api.ask("POST", f"/v1/datasets/{name}/imports", files=parts).json()["id"])


def test_the_keyboard_labels_and_undoes(page: Page, api: Api, dataset: str) -> None:
    def counts() -> dict[str, int]:
        found = api.ask("GET", f"/v1/datasets/{dataset}").json()
        return {label["name"]: label["train"] + label["test"] for label in found["labels"]} | {"all": found["pictures"]}

    before = counts()
    names = list(before)
    page.goto(f"/datasets/{dataset}")
    expect(page.locator("#cards li")).to_have_count(42)
    first = page.locator("#cards li").first
    was = first.locator("h3 span").text_content()
    other = next(name for name in names if name not in (was, "all"))
    # When two pictures get another label by its key, then undo brings the old ones back
    first.locator("button.thumb").focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press(str(names.index(other)))
    expect(first.locator("h3 span")).to_have_text(other)
    expect(label_row(page, other).locator(".label-count")).to_have_text(str(before[other] + 2))
    assert counts()[other] == before[other] + 2
    page.keyboard.press("u")
    expect(first.locator("h3 span")).to_have_text(was)
    expect(label_row(page, other).locator(".label-count")).to_have_text(str(before[other]))
    assert counts() == before
    # When they are deleted, then they are only hidden until that can no longer be undone
    page.keyboard.press("Delete")
    expect(page.locator("#cards li")).to_have_count(40)
    assert counts() == before
    page.keyboard.press("Control+z")
    expect(page.locator("#cards li")).to_have_count(42)
    check(page, "dataset")
    # When one is deleted and the page is left, then it is gone
    page.locator("#cards button.thumb").first.focus()
    page.keyboard.press("Enter")
    check(page, "dataset-viewer", "#viewer")
    page.click("#viewer-delete")
    expect(page.locator("#cards li")).to_have_count(41)
    page.goto("/datasets")
    wait_until(lambda: counts()["all"] == 41, "the picture is deleted")


def test_sixty_pictures_are_labelled_by_keyboard(page: Page, api: Api) -> None:
    """Given pictures without a label, When keys label some, Then the others come in rows by the label suggested."""

    def counts() -> list[int]:
        found = api.ask("GET", "/v1/datasets/sixty").json()
        return [*(label["train"] + label["test"] for label in found["labels"]), found["unlabelled"]]

    def label_all(names: list[str]) -> None:
        page.locator("#cards button.thumb").first.focus()
        for name in names:
            page.keyboard.press(str(SHAPES.index(name.split("-")[0])))
            page.keyboard.press("ArrowRight")

    drawings = {f"{shape}-{number:02}.png": encoded(drawn(shape, number)) for number in range(20) for shape in SHAPES}
    fill(api, "sixty", drawings, labels=list(SHAPES))
    page.goto("/datasets/sixty")
    names = page.locator("#cards .card-file")
    expect(names).to_have_count(60)
    page.locator("#keys summary").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#cards button.thumb").first).to_be_focused()
    label_all(names.all_text_contents()[:18])
    expect(page.locator("#suggested")).to_be_visible()
    page.locator("#label-rows li[data-state=unlabelled] button").press("Enter")
    expect(names).to_have_count(42)
    rows = page.locator(".row-head")
    expect(rows.first).to_be_visible()
    check(page, "suggested-rows")
    # When a row is accepted, then its pictures have the label; wrong ones are changed by key, as are the others
    first = rows.first.get_attribute("data-suggested")
    rows.first.get_by_role("button").press("Enter")
    expect(rows.first.get_by_role("button")).to_be_hidden()
    expect(page.locator("#cards .card-item h3").first).to_contain_text(first or "")
    expect(page.locator("#batch")).to_be_hidden()
    label_all(names.all_text_contents())
    expect(page.locator("#batch-text")).to_have_text("All pictures have a label now.")
    wait_until(lambda: counts() == [20, 20, 20, 0], "all have the right label")


def test_what_the_report_finds_is_shown_and_decided(page: Page, api: Api) -> None:
    """Given wrong labels, and copies with two, When the page is open, Then the report appears and leads to them.

    The page is the first to ask for the report, so it is there without a reload only if the page waits for it.
    """
    files = {f"{shape}/{number}.png": encoded(drawn(shape, number)) for shape in SHAPES for number in range(12)}
    files |= {f"bars/wrong-{number}.png": encoded(drawn("circle", number)) for number in (50, 51)}
    files["circle/copy.png"] = encoded(drawn("square", 3).resize((192, 192)))
    files["bars/large.png"] = encoded(drawn("bars", 4).resize((192, 192)))
    fill(api, "doubts", files)
    page.goto("/datasets/doubts")
    page.click("#report summary")
    check(page, "dataset-report")
    page.locator("#report-lines li", has_text="several labels").get_by_role("button", name="Show them").click()
    expect(page.locator("#pictures-title")).to_have_text("Near copies")
    expect(page.locator("#cards .card-file")).to_have_text(["3.png", "copy.png"])
    page.click("#show-all")
    decide_on_two(page, api)
    choose_the_right_label(page, api)
    keep_one_of_two(page)
    before = api.ask("GET", "/v1/datasets/doubts").json()["pictures"]
    assert before == len(files), "a deletion that can be undone is not done yet"
    page.locator("#report-lines li", has_text="wrong label").get_by_role("button", name="Show them").click()
    page.select_option("[name=doubt]", "0.5")
    expect(page.locator("#cards li:not(:has(.suggestion))")).to_have_count(0)
    doubted = page.locator("#cards li", has_text=re.compile("wrong-5")).first
    expect(doubted.locator("h3 span")).to_have_text("bars")
    expect(doubted.locator(".suggestion")).to_have_text("circle?")
    doubted.locator("button.thumb").focus()
    page.keyboard.press(".")
    expect(doubted.locator("h3 span")).to_have_text("circle")
    page.keyboard.press("u")
    expect(doubted.locator("h3 span")).to_have_text("bars")
    # When the page is left, then the copy is gone: the undo was that of the later change
    page.goto("/datasets")
    wait_until(lambda: api.ask("GET", "/v1/datasets/doubts").json()["pictures"] == before - 1, "the copy is deleted")


def decide_on_two(page: Page, api: Api) -> None:
    """Keep the first doubted label for good, and accept another one for the second, which is undone."""
    doubted = api.ask("GET", "/v1/datasets/doubts/report").json()["computed"]["learnt"]["doubted"]
    first, second = doubted["listed"][:2]
    line = page.locator("#report-lines li", has_text="wrong label")
    line.get_by_role("button", name="Decide one by one").click()
    expect(page.locator("#doubts-place")).to_have_text(f"1 of {doubted['pictures']}")
    expect(page.locator("#doubt-label")).to_have_text(first["label"])
    expect(page.locator("#doubt-better")).to_have_text(first["suggested"]["label"])
    expect(page.locator("#doubt-examples img")).to_have_count(2)
    check(page, "doubts", "#doubts")
    page.keyboard.press(",")
    expect(page.locator("#doubt-label")).to_have_text(second["label"])
    page.keyboard.press(".")
    expect(page.locator("#doubts-said")).to_have_text(f"Changed to {second['suggested']['label']}.")
    page.keyboard.press("u")
    expect(page.locator("#doubt-label")).to_have_text(second["label"])
    page.keyboard.press("Escape")
    expect(page.locator("#undo-text")).to_have_text("Undid the change of 1 picture.")
    expect(line).to_contain_text(f"{doubted['pictures'] - 1} picture")
    found = [api.ask("GET", f"/v1/datasets/doubts/pictures/{each['id']}").json() for each in (first, second)]
    assert [each["label"] for each in found] == [first["label"], second["label"]]
    assert [each["rejected"] for each in found] == [first["suggested"]["label"], None]


def choose_the_right_label(page: Page, api: Api) -> None:
    """Given copies with two labels, When a key says which one is right, Then both have it; undo takes that back."""

    def labels() -> list[str]:
        return [api.ask("GET", f"/v1/datasets/doubts/pictures/{key}").json()["label"] for key in keys]

    line = page.locator("#report-lines li", has_text="several labels")
    line.get_by_role("button", name="Decide one by one").click()
    tiles, choices, said = (page.locator(f"#copies-{part}") for part in ("list li", "labels button", "said"))
    expect(tiles).to_have_count(2)
    expect(choices).to_have_count(2)
    check(page, "copies-labels", "#copies")
    keys = tiles.evaluate_all("all => all.map((one) => one.dataset.key)")
    right = str(1 + choices.evaluate_all("all => all.findIndex((one) => one.value === 'square')"))
    page.keyboard.press(right)
    expect(said).to_have_text("1 picture changed to square.")
    expect(page.locator("#copies-end")).to_be_visible()
    page.keyboard.press("u")
    expect(said).to_have_text("Undone.")
    expect(tiles).to_have_count(2)
    assert sorted(labels()) == ["circle", "square"]
    page.keyboard.press(right)
    expect(page.locator("#copies-end")).to_be_visible()
    page.keyboard.press("Escape")
    expect(line).to_be_hidden()
    assert labels() == ["square", "square"]


def keep_one_of_two(page: Page) -> None:
    """Given copies with one label, When a key keeps the larger one, Then the other goes, unless that is undone."""
    line = page.locator("#report-lines li", has_text="have one label")
    expect(line).to_contain_text("2 groups")
    line.get_by_role("button", name="Decide one by one").click()
    kept, said = page.locator("#copies-list .selected .card-file").first, page.locator("#copies-said")
    expect(kept).to_have_text("copy.png")
    check(page, "copies", "#copies")
    page.keyboard.press("2")
    expect(kept).to_have_text("3.png")
    page.keyboard.press("1")
    for key, done in ((".", "1 picture deleted."), (",", "Nothing changed.")):
        expect(kept).to_have_text("copy.png")
        page.keyboard.press(key)
        expect(said).to_have_text(done)
        expect(kept).to_have_text("large.png")
        page.keyboard.press("u")
        expect(said).to_have_text("Undone.")
    expect(kept).to_have_text("copy.png")
    page.keyboard.press(".")
    expect(page.locator("#copies-place")).to_have_text("1 of 1")
    page.keyboard.press("Escape")
    expect(page.locator("#undo-text")).to_have_text("1 picture deleted.")


def test_pictures_are_dragged_onto_a_label(page: Page, api: Api, dataset: str) -> None:
    page.goto(f"/datasets/{dataset}")
    first, second = (page.locator("#cards li").nth(place) for place in (0, 1))
    was = first.locator("h3 span").text_content()
    assert second.locator("h3 span").text_content() == was
    other = next(name for name in SHAPES if name != was)
    first.locator("input").check()
    second.locator("input").check()
    second.drag_to(label_row(page, other))
    for card in (first, second):
        expect(card.locator("h3 span")).to_have_text(other)
    page.click("#undo")
    expect(first.locator("h3 span")).to_have_text(was or "")
    assert api.ask("GET", f"/v1/datasets/{dataset}/pictures?limit=1").json()["data"][0]["label"] == was


def test_two_tabs_change_one_dataset(page: Page, api: Api, complaints: Complaints) -> None:
    """Given two tabs, When one deletes pictures that the other labels, Then that one says so, and labels the rest."""

    def label(picture: str) -> str | None:
        found = api.ask("GET", f"/v1/datasets/shared/pictures?q={picture}").json()["data"]
        return found[0]["label"] if found else None

    complaints.expected = ("404",)
    files = {f"circle/{number}.png": encoded(drawn("circle", number)) for number in range(5)}
    fill(api, "shared", files, labels=["mug"])
    other = page.context.new_page()
    watch_console(other, complaints)
    for tab in (page, other):
        tab.goto("/datasets/shared")
        expect(tab.locator("#cards li")).to_have_count(5)
    key = str(labels_of(api, "shared").index("mug"))
    # When each tab changes a label, then both changes are made, and a tab that is looked at again shows both
    press(page, "0.png", key)
    press(other, "1.png", key)
    for tab in (page, other):
        expect(tab.locator("#undo-text")).to_contain_text("now mug")
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # every tab here has the focus already
    expect(card(page, "1.png").locator("h3 span")).to_have_text("mug")
    # When the other tab deletes two pictures, and this one changes one of them and a third one, then only that changes
    for name, pressed in (("2.png", "Space"), ("3.png", "Space"), ("3.png", "Delete")):
        press(other, name, pressed)
    gone = api.ask("GET", "/v1/datasets/shared/pictures?q=2.png").json()["data"][0]["id"]
    api.ask("DELETE", f"/v1/datasets/shared/pictures/{gone}")  # which does not keep the other from being deleted
    other.goto("/datasets")
    wait_until(lambda: label("3.png") is None, "the pictures are deleted")
    for name, pressed in (("2.png", "Space"), ("4.png", "Space"), ("4.png", key)):
        press(page, name, pressed)
    expect(page.locator("#notice")).to_have_text("1 picture was deleted elsewhere. The other pictures are changed.")
    expect(page.locator("#cards .card-file")).to_have_text(["0.png", "1.png", "3.png", "4.png"])
    assert label("4.png") == "mug"
    # When it changes the other deleted picture, enlarged, then the notice is in sight
    press(page, "3.png", "Enter")
    page.keyboard.press(key)
    expect(page.locator("#notice")).to_have_text("1 picture was deleted elsewhere. Nothing is changed.")
    expect(page.locator("#notice")).to_be_focused()
    expect(page.locator("#viewer")).to_be_hidden()
    # And all that it has changed can be undone; what the other tab has changed stays
    for name in ("4.png", "0.png"):
        page.click("#undo")
        expect(card(page, name).locator("h3 span")).to_have_text("circle")
    assert [label(name) for name in ("0.png", "1.png", "4.png")] == ["circle", "mug", "circle"]


def card(page: Page, filename: str) -> Locator:
    """Return the card of a picture in the grid."""
    return page.locator("#cards li", has_text=filename)


def press(page: Page, filename: str, key: str) -> None:
    """Press a key on a picture in the grid."""
    card(page, filename).locator("button.thumb").press(key)


def labels_of(api: Api, dataset: str) -> list[str]:
    return [label["name"] for label in api.ask("GET", f"/v1/datasets/{dataset}").json()["labels"]]


def test_labels_are_renamed_merged_and_deleted(page: Page, api: Api, dataset: str, complaints: Complaints) -> None:
    complaints.expected = ("409",)
    page.goto(f"/datasets/{dataset}")
    page.fill("#new-label", "spare")
    page.press("#new-label", "Enter")
    expect(label_row(page, "spare")).to_be_visible()
    label_row(page, "spare").locator("button").click()
    page.click("#rename")
    page.fill("#new-name", "other")
    check(page, "rename", "#renaming")
    page.press("#new-name", "Enter")
    expect(page.locator("#pictures-title")).to_have_text("other")
    # When it gets the name of another one, then the page asks before it merges them
    page.click("#rename")
    page.fill("#new-name", "circle")
    page.press("#new-name", "Enter")
    page.click("#confirm-yes")
    expect(page.locator("#pictures-title")).to_have_text("circle")
    assert sorted(labels_of(api, dataset)) == ["bars", "circle", "square"]
    # When a label is deleted and its pictures stay, then they are without one, which is a filter
    page.click("#remove-label")
    check(page, "remove-label", "#removing")
    page.click("#removing button[value=unlabel]")
    row = page.locator("#label-rows li[data-state=unlabelled]")
    row.locator("button").click()
    expect(page.locator("#pictures-title")).to_have_text("Without a label")
    expect(page.locator("#cards .no-label")).to_have_count(int(row.locator(".label-count").text_content() or 0))
    assert sorted(labels_of(api, dataset)) == ["bars", "square"]
