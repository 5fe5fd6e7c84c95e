"""The pages of Datasets: from a folder of folders to a classifier that answers; labels, undo, and imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from shared.services import Services
from tests.browser.kit import Api, Complaints, Gate, check, drop, folder_of
from tests.conftest import wait_until
from tests.fixtures.shapes import SHAPES, drawn, encoded


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with 14 pictures of each of three shapes, and a file that is not a picture."""
    root = tmp_path_factory.mktemp("drop") / "things"
    for shape in SHAPES:
        (root / shape).mkdir(parents=True)
        for number in range(14):
            drawn(shape, number).save(root / shape / f"{number:02}.png")
    (root / "notes.txt").write_text("only text")
    return root


@pytest.fixture(scope="module")
def dataset(api: Api, folder: Path) -> str:
    """A Dataset with 42 pictures under three Labels."""
    api.ask("POST", "/v1/datasets", json={"name": "others"})
    files = [
        ("files", (f"{path.parent.name}/{path.name}", path.read_bytes())) for path in sorted(folder.glob("*/*.png"))
    ]
    done = api.ask("POST", "/v1/datasets/others/imports", files=files, headers={"Prefer": "wait=30"}).json()
    assert done["state"] == "succeeded"
    return "others"


def label_row(page: Page, name: str):
    return page.locator(f"#label-rows li[data-label='{name}']")


def test_from_a_folder_of_folders_to_a_classifier(page: Page, api: Api, parts: Services, folder: Path) -> None:  # noqa: ARG001 - deletes the version
    # Given an empty dataset, made by its page
    make_the_first(page)
    expect(page.locator("#train")).to_be_disabled()
    check(page, "dataset-empty")
    # When a folder of folders is added, then each folder is a label, and the text file is skipped
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#import-result strong")).to_have_text("42 pictures added.")
    expect(page.locator("#import-result")).to_contain_text("notes.txt")
    for name in SHAPES:
        expect(label_row(page, name).locator(".label-count")).to_have_text("14")
    expect(page.locator("#cards li")).to_have_count(42)
    # When it is added again, then nothing changes
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#import-result strong")).to_have_text("0 pictures added, 42 were there already.")
    page.click("#import-result a")
    expect(page.locator("#present")).to_have_text("42")
    check(page, "import")
    # When it is trained, then the page of the training says how good it is, and that it answers
    page.goto("/datasets/my-shapes")
    page.click("#train")
    page.wait_for_url(re.compile("/result/"))
    api.finished(page.url.split("/")[-1])
    expect(page.locator("#outcome-title")).to_have_text("The classifier my-shapes is ready")
    metrics = api.model(api.ask("GET", "/v1/classifiers/my-shapes").json()["champion"]["version"])["metrics"]
    expect(page.locator("#measured")).to_contain_text(f"–{metrics['accuracy_interval'][1] * 100:.0f} %")
    expect(page.locator("#outcome-rows tr")).to_have_count(3)
    expect(page.locator("#curves-section")).to_be_hidden()
    look_behind_the_figures(page, metrics)
    check(page, "head")
    # When its link is followed, then pictures are classified by it
    page.click("#outcome-links a >> nth=0")
    expect(page.locator("#classifier")).to_have_value("my-shapes")
    page.set_input_files("#files", {"name": "new.png", "mimeType": "image/png", "buffer": encoded(drawn("circle", 99))})
    page.click("#start")
    page.wait_for_url(re.compile("/result/"))
    expect(page.locator(".card-item")).to_have_count(1)
    assert api.status(page.url.split("/")[-1])["classifier"] == "my-shapes"
    # And once it is corrected, it goes into the dataset by one button
    page.locator("button.thumb").press("1")
    page.click("#take-button:has-text('Put 1 corrected picture into my-shapes')")
    expect(page.locator("#take-result strong")).to_have_text("1 picture added.")
    assert api.ask("GET", "/v1/datasets/my-shapes").json()["pictures"] == 43
    check(page, "taken")
    # And the list shows its quality
    page.goto("/datasets")
    expect(page.locator(".dataset-card", has_text="my-shapes").locator("strong")).to_contain_text("%")
    check(page, "datasets")
    look_at_pictures_alike(page)
    # And the classifier has a page, with its versions
    page.goto("/classifiers/my-shapes")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows .champion-mark")).to_be_visible()
    expect(page.locator("#open-dataset")).to_have_attribute("href", "/datasets/my-shapes")
    check(page, "classifier")


def make_the_first(page: Page) -> None:
    # Without datasets, the page offers ways to begin
    page.goto("/datasets")
    expect(page.locator("#try-samples")).to_be_visible()
    check(page, "datasets-none")
    page.click("#from-folders")
    expect(page.locator("#name")).to_be_focused()
    page.fill("#name", "My Shapes")
    page.fill("#labels", "circle, bars")
    page.click("#create")
    page.wait_for_url("**/datasets/my-shapes")


def look_behind_the_figures(page: Page, metrics: dict) -> None:
    # Each cell of the confusion matrix opens the pictures behind it
    cell = page.locator("[role=gridcell].right:not([data-count='0'])").first
    cell.click()
    shots = page.locator("#example-box li")
    expect(shots).to_have_count(int(cell.get_attribute("data-count") or 0))
    expect(shots.first).to_contain_text("right, ")
    # The slider counts the test pictures that get an answer
    tests = sum(label["support"] for label in metrics["per_class"])
    page.locator("#threshold").press("Home")
    expect(page.locator("#threshold-score")).to_have_text("0 %")
    expect(page.locator("#threshold-answered")).to_contain_text(f" of {tests} (")
    page.click("#threshold-reset")
    expect(page.locator("#threshold-reset")).to_be_hidden()


def look_at_pictures_alike(page: Page) -> None:
    # An enlarged picture has those that look most like it, which can be opened
    page.goto("/datasets/my-shapes")
    page.locator("#cards button.thumb").first.click()
    expect(page.locator("#viewer-near-list li")).to_have_count(5)
    check(page, "dataset-alike", "#viewer")
    page.locator("#viewer-near-list a").first.click()
    expect(page.locator("#pictures-title")).to_have_text("Near copies")
    expect(page.locator("#cards li").first).to_be_visible()
    page.click("#show-all")
    expect(page.locator("#pictures-title")).to_have_text("Pictures")
    get_a_suggestion(page)


def get_a_suggestion(page: Page) -> None:
    # A picture without a label that is added gets a suggestion without a reload
    page.set_input_files("#files", {"name": "x.png", "mimeType": "image/png", "buffer": encoded(drawn("bars", 98))})
    expect(page.locator("#import-result strong")).to_have_text("1 picture added.")
    expect(page.locator("#suggested-accept-text")).to_have_text("Accept it")


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

    api.ask("POST", "/v1/datasets", json={"name": "sixty", "labels": list(SHAPES)})
    drawings = [(f"{shape}-{number:02}.png", encoded(drawn(shape, number))) for number in range(20) for shape in SHAPES]
    parts = [("files", part) for part in drawings]
    api.ask("POST", "/v1/datasets/sixty/imports", files=parts, headers={"Prefer": "wait=30"})
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
    api.ask("POST", "/v1/datasets", json={"name": "doubts"})
    files = {f"{shape}/{number}.png": encoded(drawn(shape, number)) for shape in SHAPES for number in range(12)}
    files |= {f"bars/wrong-{number}.png": encoded(drawn("circle", number)) for number in (50, 51)}
    files["circle/copy.png"] = encoded(drawn("square", 3).resize((192, 192)))
    files["bars/large.png"] = encoded(drawn("bars", 4).resize((192, 192)))
    parts = [("files", part) for part in files.items()]
    api.ask("POST", "/v1/datasets/doubts/imports", files=parts, headers={"Prefer": "wait=30"})
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


def test_pictures_without_a_folder_get_the_typed_label(page: Page, api: Api) -> None:
    api.ask("POST", "/v1/datasets", json={"name": "loose", "labels": ["mug"]})
    page.goto("/datasets/loose")
    expect(label_row(page, "mug")).to_be_visible()
    for number, name in enumerate(("mug", "glass")):
        page.fill("#adding-label", name)
        expect(page.locator("#pick-files-text")).to_have_text(f"Choose pictures of {name}")
        picture = {"name": f"{number}.png", "mimeType": "image/png", "buffer": encoded(drawn("circle", number))}
        page.set_input_files("#files", picture)
        expect(page.locator("#import-result:not([hidden]) strong")).to_have_text("1 picture added.")
        expect(page.locator("#adding-label")).to_have_value("")
        expect(label_row(page, name).locator(".label-count")).to_have_text("1")
    # When a picture is dropped on a label, then it has that one
    drop(label_row(page, "mug").locator("button"), "2.png", encoded(drawn("circle", 2)))
    expect(label_row(page, "mug").locator(".label-count")).to_have_text("2")


def test_the_same_picture_under_another_label_is_decided(page: Page, api: Api) -> None:
    api.ask("POST", "/v1/datasets", json={"name": "twice", "labels": ["mug"]})
    picture = {"name": "0.png", "mimeType": "image/png", "buffer": encoded(drawn("circle", 0))}
    page.goto("/datasets/twice")
    for name, words in (("mug", "1 picture added."), ("cup", "0 pictures added, 1 has another label in the dataset.")):
        page.fill("#adding-label", name)
        page.set_input_files("#files", picture)
        expect(page.locator("#import-result strong")).to_have_text(words)
    page.click("#import-result button")
    expect(page.locator("#doubt-label")).to_have_text("mug")
    expect(page.locator("#doubt-better")).to_have_text("cup")
    expect(page.locator("#doubt-examples")).to_have_text("No other pictures of cup.")
    check(page, "conflict", "#doubts")
    # When the new label is chosen, then the dataset has it, and the page of the import asks no more
    page.keyboard.press(".")
    page.keyboard.press("Escape")
    expect(label_row(page, "cup").locator(".label-count")).to_have_text("1")
    page.click("#import-result a")
    page.click("#conflicts summary")
    page.click("#conflicts a")
    expect(page.locator("#doubts-end")).to_be_visible()


def test_the_camera_takes_pictures_of_a_label(page: Page, api: Api) -> None:
    """Given Chromium's camera, When its button is held, Then many pictures are taken, and added under the label."""
    api.ask("POST", "/v1/datasets", json={"name": "seen"})
    page.goto("/datasets/seen")
    page.click("#use-camera")
    page.locator("#shoot").hover()
    page.mouse.down()
    expect(page.locator("#shots-add-text")).to_have_text(re.compile(r"Add [3-9]\d*|Add [12]\d"))
    page.mouse.up()
    # When the dialog is closed, then the pictures are not lost; and they need a label
    page.keyboard.press("Escape")
    expect(page.locator("#shooting-hint")).to_contain_text("Add or discard")
    page.click("#shots-add")
    expect(page.locator("#shooting-label")).to_be_focused()
    page.keyboard.type("beep")
    check(page, "camera", "#shooting")
    page.click("#shots-add")
    expect(page.locator("#import-result strong")).to_contain_text("added")
    (label,) = api.ask("GET", "/v1/datasets/seen").json()["labels"]
    assert (label["name"], label["train"] + label["test"] > 0) == ("beep", True)
    (sent,) = [
        job for job in api.ask("GET", "/v1/jobs?kind=import").json()["data"] if job["params"]["dataset"] == "seen"
    ]
    assert sent["counts"]["succeeded"] == sent["counts"]["total"] > 2, "equal frames are sent, too, and stored once"


def test_an_interrupted_import_is_offered_again(page: Page, api: Api, tmp_path: Path) -> None:
    """Given an import that a reload interrupts, When the folder is chosen again, Then only the rest is sent."""
    api.ask("POST", "/v1/datasets", json={"name": "resumed"})
    folder, gate = folder_of(tmp_path / "many", 55), Gate(page, after=1)
    page.on("dialog", lambda dialog: dialog.accept())  # leaving the page during an import
    page.goto("/datasets/resumed")
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#sent-files")).to_have_text("50 of 55")
    (job,) = api.ask("GET", "/v1/jobs?state=open&kind=import").json()["data"]
    page.reload()
    gate.open()
    expect(page.locator("#interrupted-title")).to_have_text("The import “many” was interrupted")
    expect(page.locator("#interrupted-text")).to_contain_text("50 of 55 files arrived")
    check(page, "interrupted-import")
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#import-result strong")).to_contain_text("added")
    expect(page.locator("#interrupted")).to_be_hidden()
    assert api.status(job["id"])["counts"]["total"] == 55
    page.reload()
    expect(page.locator("#facts")).to_contain_text("picture")
    expect(page.locator("#interrupted")).to_be_hidden()


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
