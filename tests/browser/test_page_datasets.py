"""The pages of Datasets: from a folder of folders to a classifier that answers; labels, undo, and imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from shared.services import Services
from tests.browser.kit import Api, Complaints, Gate, check, folder_of
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
    page.goto("/datasets")
    expect(page.locator("#try-samples")).to_be_visible()
    page.fill("#name", "My Shapes")
    page.fill("#labels", "circle, bars")
    page.click("#create")
    page.wait_for_url("**/datasets/my-shapes")
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


def test_what_the_report_finds_is_shown_and_decided(page: Page, api: Api) -> None:
    """Given wrong labels, and copies with two, When the page is open, Then the report appears and leads to them.

    The page is the first to ask for the report, so it is there without a reload only if the page waits for it.
    """
    api.ask("POST", "/v1/datasets", json={"name": "doubts"})
    files = {f"{shape}/{number}.png": encoded(drawn(shape, number)) for shape in SHAPES for number in range(12)}
    files |= {f"bars/wrong-{number}.png": encoded(drawn("circle", number)) for number in (50, 51)}
    files["circle/copy.png"] = encoded(drawn("square", 3).resize((192, 192)))
    parts = [("files", part) for part in files.items()]
    api.ask("POST", "/v1/datasets/doubts/imports", files=parts, headers={"Prefer": "wait=30"})
    page.goto("/datasets/doubts")
    page.click("#report summary")
    check(page, "dataset-report")
    page.locator("#report-lines li", has_text="near copies").get_by_role("button", name="Show them").click()
    expect(page.locator("#pictures-title")).to_have_text("Near copies")
    expect(page.locator("#cards .card-file")).to_have_text(["3.png", "copy.png"])
    decide_on_two(page, api)
    page.locator("#report-lines li", has_text="wrong label").get_by_role("button", name="Show them").click()
    expect(page.locator("#cards li")).to_have_count(len(files) - 1)
    doubted = page.locator("#cards li", has_text=re.compile("wrong-5")).first
    expect(doubted.locator("h3 span")).to_have_text("bars")
    expect(doubted.locator(".suggestion")).to_have_text("circle?")
    doubted.locator("button.thumb").focus()
    page.keyboard.press(".")
    expect(doubted.locator("h3 span")).to_have_text("circle")
    page.keyboard.press("u")
    expect(doubted.locator("h3 span")).to_have_text("bars")


def decide_on_two(page: Page, api: Api) -> None:
    """Keep the first doubted label for good, and accept another one for the second, which is undone."""
    doubted = api.ask("GET", "/v1/datasets/doubts/report").json()["computed"]["learnt"]["doubted"]
    first, second = doubted["listed"][:2]
    line = page.locator("#report-lines li", has_text="wrong label")
    line.get_by_role("button", name="Decide one by one").click()
    expect(page.locator("#doubt-place")).to_have_text(f"1 of {doubted['pictures']}")
    expect(page.locator("#doubt-label")).to_have_text(first["label"])
    expect(page.locator("#doubt-better")).to_have_text(first["suggested"]["label"])
    expect(page.locator("#doubt-examples img")).to_have_count(2)
    check(page, "doubts", "#doubts")
    page.keyboard.press(",")
    expect(page.locator("#doubt-label")).to_have_text(second["label"])
    page.keyboard.press(".")
    expect(page.locator("#doubt-said")).to_have_text(f"Changed to {second['suggested']['label']}.")
    page.keyboard.press("u")
    expect(page.locator("#doubt-label")).to_have_text(second["label"])
    page.keyboard.press("Escape")
    expect(page.locator("#undo-text")).to_have_text("Undid the change of 1 picture.")
    expect(line).to_contain_text(f"{doubted['pictures'] - 1} picture")
    found = [api.ask("GET", f"/v1/datasets/doubts/pictures/{each['id']}").json() for each in (first, second)]
    assert [each["label"] for each in found] == [first["label"], second["label"]]
    assert [each["rejected"] for each in found] == [first["suggested"]["label"], None]


def test_pictures_without_a_folder_get_the_typed_label(page: Page, api: Api) -> None:
    api.ask("POST", "/v1/datasets", json={"name": "loose", "labels": ["mug"]})
    page.goto("/datasets/loose")
    expect(label_row(page, "mug")).to_be_visible()
    for number, name in enumerate(("mug", "glass")):
        page.fill("#adding-label", name)
        expect(page.locator("#pick-files-text")).to_have_text(f"Choose pictures of {name}")
        picture = {"name": f"{number}.png", "mimeType": "image/png", "buffer": encoded(drawn("circle", number))}
        page.set_input_files("#files", picture)
        expect(page.locator("#import-result strong")).to_have_text("1 picture added.")
        expect(page.locator("#adding-label")).to_have_value("")
        expect(label_row(page, name).locator(".label-count")).to_have_text("1")


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


def test_labels_are_renamed_merged_and_deleted(page: Page, api: Api, dataset: str, complaints: Complaints) -> None:
    complaints.expected = ("409",)

    def labels() -> list[str]:
        return [label["name"] for label in api.ask("GET", f"/v1/datasets/{dataset}").json()["labels"]]

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
    assert sorted(labels()) == ["bars", "circle", "square"]
    # When a label is deleted and its pictures stay, then they are without one, which is a filter
    page.click("#remove-label")
    check(page, "remove-label", "#removing")
    page.click("#removing button[value=unlabel]")
    row = page.locator("#label-rows li[data-state=unlabelled]")
    row.locator("button").click()
    expect(page.locator("#pictures-title")).to_have_text("Without a label")
    expect(page.locator("#cards .no-label")).to_have_count(int(row.locator(".label-count").text_content() or 0))
    assert sorted(labels()) == ["bars", "square"]
