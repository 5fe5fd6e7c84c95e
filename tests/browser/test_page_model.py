"""The page of one model version."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.kit import Api, Complaints, number, rounded
from tests.conftest import START_STOP_S


@pytest.fixture
def version(two_versions: tuple[str, str]) -> str:
    return two_versions[0]


@pytest.fixture
def model(page: Page, version: str) -> Page:
    page.goto(f"/models/{version}")
    expect(page.locator("#matrix-section")).to_be_visible()
    return page


def cell(page: Page, truth: int, answer: int) -> Locator:
    return page.locator(f"[role=gridcell][data-truth='{truth}'][data-answer='{answer}']")


def confusion(card: dict) -> tuple[int, int]:
    """Return the most frequent confusion as indexes of the true and the predicted label."""
    rows = card["metrics"]["confusion_matrix"]
    pairs = [(row[answer], truth, answer) for truth, row in enumerate(rows) for answer in range(10) if answer != truth]
    return max(pairs)[1:]


def test_the_page_shows_the_card(model: Page, api: Api, version: str) -> None:
    card = api.model(version)
    metrics = card["metrics"]
    figures = [number(text) for text in model.locator("#figures dd").all_text_contents()[:2]]
    assert figures == [rounded(metrics["accuracy"] * 100, 2), rounded(metrics["loss"], 4)]
    expect(model.locator("#making")).to_contain_text(card["dataset"]["digest"])
    expect(model.locator("#params")).to_contain_text(str(card["params"]["batch_size"]))
    counts = [number(text) for text in model.locator("[role=gridcell]").all_text_contents()]
    assert counts == [count for row in metrics["confusion_matrix"] for count in row]
    for row, each in zip(model.locator("#classes tr").all(), metrics["per_class"], strict=True):
        label, *cells = row.locator("th, td").all_text_contents()
        expected = [rounded(each[name] * 100, 2) for name in ("recall", "precision", "f1")]
        assert (label, [number(text) for text in cells]) == (each["label"], [*expected, each["support"]])
    # Curves and calibration
    expect(model.locator(".scatterlayer")).to_have_count(3)
    expect(model.locator("#epochs tr")).to_have_count(len(card["history"]))
    losses = model.locator("#chart-loss-area").evaluate("area => area.data.map(({y}) => y)")
    assert losses == [[row[name] for row in card["history"]] for name in ("loss", "val_loss")]
    calibration = card["calibration"]
    errors = [number(text) for text in model.locator("#calibration dd").all_text_contents()[:2]]
    assert errors == [rounded(calibration[name] * 100, 2) for name in ("error_before", "error_after")]
    filled = [each for each in calibration["reliability"] if each["count"]]
    expect(model.locator("#reliability tr")).to_have_count(len(filled))


def test_the_confusion_matrix(model: Page, api: Api, version: str) -> None:
    # When a cell is clicked, then its examples are those of the image of confusions
    card = api.model(version)
    truth, answer = confusion(card)
    count = card["metrics"]["confusion_matrix"][truth][answer]
    cell(model, truth, answer).click()
    expect(model.locator("#examples-text")).to_contain_text(card["labels"][answer])
    examples = model.locator("#example-box canvas")
    expect(examples).to_have_count(min(3, count))
    sheet = Image.open(io.BytesIO(api.ask("GET", f"/v1/models/{version}/confusions").content)).convert("RGBA")
    for place in range(min(3, count)):
        left, top = (answer * 3 + place) * 32, truth * 32
        pixels = examples.nth(place).evaluate(
            "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        )
        assert bytes(pixels) == sheet.crop((left, top, left + 32, top + 32)).tobytes()
    # The matrix is one tab stop, with arrow keys inside
    expect(model.locator("[role=gridcell][tabindex='0']")).to_have_count(1)
    cell(model, 0, 0).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp"):
        model.keyboard.press(key)
    expect(cell(model, 1, 0)).to_be_focused()
    model.keyboard.press("Enter")
    expect(cell(model, 1, 0)).to_have_attribute("aria-selected", "true")
    expect(model.locator("#examples-text")).to_contain_text("automobile")
    model.keyboard.press("ArrowRight")
    model.keyboard.press(" ")
    expect(cell(model, 1, 1)).to_have_attribute("aria-selected", "true")
    expect(model.locator("[aria-selected]")).to_have_count(1)


def test_download_and_promote(model: Page, api: Api, version: str) -> None:
    with model.expect_download() as download:
        model.get_by_role("link", name="Download").click()
    digest = hashlib.sha256(download.value.path().read_bytes()).hexdigest()
    assert digest == api.model(version)["file_sha256"]
    before = api.champion()
    model.click("#promote")
    expect(model.locator("#confirm-text")).to_contain_text(before)
    model.click("#confirm-yes")
    expect(model.locator("#facts .champion-mark")).to_be_visible()
    expect(model.locator("#promote")).to_be_hidden()
    assert api.champion() == version
    api.promote(before)


def test_a_version_is_exported(model: Page, version: str) -> None:
    with model.expect_download(timeout=START_STOP_S * 1000) as download:
        model.get_by_role("button", name="Keras").click()
        expect(model.locator("#export-state")).to_contain_text("Preparing the export for Keras")
    expect(model.locator("#export-state")).to_contain_text("ready")
    assert download.value.suggested_filename == f"{version}-keras.zip"
    model.context.grant_permissions(["clipboard-read", "clipboard-write"])
    model.click("#export-copy")
    expect(model.locator("#export-copy-text")).to_have_text("Copied")
    assert f"models export {version} --format onnx" in model.evaluate("navigator.clipboard.readText()")
    assert {"model.keras", "predict.py"} < set(zipfile.ZipFile(download.value.path()).namelist())


def test_an_imported_model_without_metrics(page: Page, api: Api, version: str) -> None:
    card = api.model(version)
    missing = {"metrics": None, "calibration": None, "views": None, "dataset": None, "seed": None, "history": []}
    card |= missing | {"training_seconds": None, "code_version": None, "source": "cnn_model.h5", "best_epoch": None}
    page.route(f"**/v1/models/{version}", lambda route: route.fulfill(json=card))
    page.goto(f"/models/{version}")
    expect(page.locator("#figures")).to_contain_text("not measured")
    expect(page.locator("#facts")).to_contain_text("cnn_model.h5")
    for section in ("matrix", "classes", "curves", "calibration"):
        expect(page.locator(f"#{section}-section")).to_be_hidden()
    expect(page.locator("#compare")).to_be_hidden()


def test_a_model_without_examples(page: Page, api: Api, complaints: Complaints) -> None:
    """Examples were not stored with the first version that shipped."""
    complaints.expected = ("404",)
    card = api.model(api.champion())
    page.route("**/confusions", lambda route: route.fulfill(status=404, json={"title": "Not found"}))
    page.goto(f"/models/{card['version']}")
    truth, answer = confusion(card)
    cell(page, truth, answer).click()
    expect(page.locator("#examples-text")).to_contain_text("no stored examples")
    expect(page.locator("#example-box canvas")).to_have_count(0)
