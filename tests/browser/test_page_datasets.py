"""From pictures to a classifier that answers: folders, loose pictures, the camera, and imports that are interrupted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.kit import SIZES, Api, Gate, check, drop, folder_of, label_row
from tests.fixtures.shapes import SIX_SHAPES, drawn, encoded

#: Pictures of each of six shapes, and of all of them.
EACH, ALL = 50, 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with 50 small pictures of each of six shapes, and a file that is not a picture."""
    root = tmp_path_factory.mktemp("drop") / "things"
    for shape in SIX_SHAPES:
        (root / shape).mkdir(parents=True)
        for number in range(EACH):
            drawn(shape, number, 64).save(root / shape / f"{number:02}.png")
    (root / "notes.txt").write_text("only text")
    return root


@pytest.fixture
def no_datasets(api: Api) -> None:
    """Delete the Datasets of other modules."""
    for found in api.ask("GET", "/v1/datasets?limit=1000").json()["data"]:
        api.ask("DELETE", f"/v1/datasets/{found['name']}")


@pytest.mark.usefixtures("no_datasets", "parts")  # the latter deletes the versions
def test_from_a_folder_of_folders_to_a_classifier(page: Page, api: Api, folder: Path) -> None:
    # Given an empty dataset, made by its page
    make_the_first(page)
    expect(page.locator("#train")).to_be_disabled()
    check(page, "dataset-empty")
    # When a folder of folders is added and trained on, then the classifier answers; on a phone nothing is added twice
    page.set_viewport_size(SIZES["desktop"])
    import_folder(page, folder, "300 pictures added.")
    training = train_and_classify(page, api, "The classifier my-shapes is ready")
    page.set_viewport_size(SIZES["phone"])
    again = import_folder(page, folder, "0 pictures added, 300 were there already.")
    train_and_classify(page, api, "The new version is ready, but not in use")  # it is not better
    # And once a picture is corrected, it goes into the dataset by one button
    page.locator("button.thumb").press("1")
    page.click("#take-button:has-text('Put 1 corrected picture into my-shapes')")
    expect(page.locator("#take-result strong")).to_have_text("1 picture added.")
    assert api.ask("GET", "/v1/datasets/my-shapes").json()["pictures"] == ALL + 1
    check(page, "taken")
    # And the pages of the import, the training and the classifier say what there is
    page.goto(again)
    expect(page.locator("#present")).to_have_text(str(ALL))
    check(page, "import")
    page.goto(training)
    metrics = api.model(api.ask("GET", "/v1/classifiers/my-shapes").json()["champion"]["version"])["metrics"]
    expect(page.locator("#measured")).to_contain_text(f"–{metrics['accuracy_interval'][1] * 100:.0f} %")
    expect(page.locator("#outcome-rows tr")).to_have_count(6)
    expect(page.locator("#curves-section")).to_be_hidden()
    look_behind_the_figures(page, metrics)
    check(page, "head")
    page.goto("/datasets")
    expect(page.locator(".dataset-card", has_text="my-shapes").locator("strong")).to_contain_text("%")
    check(page, "datasets")
    look_at_pictures_alike(page)
    page.goto("/classifiers/my-shapes")
    versions = api.ask("GET", "/v1/models?classifier=my-shapes").json()["data"]
    expect(page.locator("#rows tr")).to_have_count(len(versions))
    expect(page.locator("#rows .champion-mark")).to_be_visible()
    expect(page.locator("#open-dataset")).to_have_attribute("href", "/datasets/my-shapes")
    check(page, "classifier")


def import_folder(page: Page, folder: Path, words: str) -> str:
    """Add a folder of folders: each folder is a label, and the text file is skipped. Return the import's address."""
    page.goto("/datasets/my-shapes")
    page.set_input_files("#folder", str(folder))
    expect(page.locator("#import-result strong")).to_have_text(words)
    expect(page.locator("#import-result")).to_contain_text("notes.txt")
    for name in SIX_SHAPES:
        expect(label_row(page, name).locator(".label-count")).to_have_text(str(EACH))
    # There are cards for one page of pictures only
    expect(page.locator("#cards li")).to_have_count(60)
    page.click("#next")
    expect(page.locator("#place")).to_have_text("61–120")
    expect(page.locator("#cards li")).to_have_count(60)
    return page.get_attribute("#import-result a", "href") or ""


def train_and_classify(page: Page, api: Api, outcome: str) -> str:
    """Train, and follow the link to the classifier, which answers. Return the training's address."""
    page.click("#train")
    page.wait_for_url(re.compile("/result/"))
    training = page.url
    api.finished(training.split("/")[-1])
    expect(page.locator("#outcome-title")).to_have_text(outcome)
    page.click("#outcome-links a >> nth=0")
    expect(page.locator("#classifier")).to_have_value("my-shapes")
    page.set_input_files("#files", {"name": "new.png", "mimeType": "image/png", "buffer": encoded(drawn("circle", 99))})
    page.click("#start")
    page.wait_for_url(re.compile("/result/"))
    expect(page.locator(".card-item")).to_have_count(1)
    assert api.status(page.url.split("/")[-1])["classifier"] == "my-shapes"
    return training


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
    expect(shots).to_have_count(min(12, int(cell.get_attribute("data-count") or 0)))  # a button shows more
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
    page.select_option("[name=sort]", "newest")
    page.set_input_files("#files", {"name": "x.png", "mimeType": "image/png", "buffer": encoded(drawn("bars", 98))})
    expect(page.locator("#import-result strong")).to_have_text("1 picture added.")
    expect(page.locator("#suggested-accept-text")).to_have_text("Accept it")


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
    # When pictures are dropped on one label after the other, then each has that one; they wait for each other
    for number, name in ((2, "mug"), (3, "glass"), (4, "mug")):
        drop(label_row(page, name).locator("button"), f"{number}.png", encoded(drawn("circle", number)))
    lines = [re.compile(rf"^{name}: 1 picture added\.") for name in ("mug", "glass", "mug")]
    expect(page.locator("#import-result p")).to_have_text(lines)
    expect(page.locator("#waiting")).to_be_hidden()
    for name, count in (("mug", "3"), ("glass", "2")):
        expect(label_row(page, name).locator(".label-count")).to_have_text(count)


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
