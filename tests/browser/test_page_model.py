"""One version's page."""

from __future__ import annotations

import hashlib
import io
import re

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.kit import Api


@pytest.fixture
def version(two_versions: tuple[str, str]) -> str:
    return two_versions[0]


@pytest.fixture
def model(training_page: Page, version: str) -> Page:
    training_page.goto(f"/models/{version}")
    expect(training_page.locator("#matrix-section")).to_be_visible()
    return training_page


def cell(page: Page, truth: int, answer: int) -> Locator:
    return page.locator(f"[role=gridcell][data-truth='{truth}'][data-answer='{answer}']")


def confusion(card: dict) -> tuple[int, int]:
    """The pair of labels that is confused most often."""
    rows = card["metrics"]["confusion_matrix"]
    pairs = [(row[answer], truth, answer) for truth, row in enumerate(rows) for answer in range(10) if answer != truth]
    return max(pairs)[1:]


def test_figures_are_those_of_the_card(model: Page, training_api: Api, version: str) -> None:
    card = training_api.model(version)
    figures = dict(
        model.locator("#figures div").evaluate_all(
            "all => all.map((one) => [...one.children].map((e) => e.textContent))"
        )
    )
    assert figures["Accuracy"] == f"{card['metrics']['accuracy'] * 100:.2f} %"
    assert figures["Loss"] == f"{card['metrics']['loss']:.4f}"
    assert figures["One image"] == f"{card['latency']['single_image_ms']:.2f} ms"
    expect(model.locator("#making")).to_contain_text(card["dataset"]["digest"])
    expect(model.locator("#params")).to_contain_text(str(card["params"]["batch_size"]))
    numbers = model.locator("[role=gridcell]").all_text_contents()
    assert numbers == [f"{count:,}" for row in card["metrics"]["confusion_matrix"] for count in row]
    for row, each in zip(model.locator("#classes tr").all(), card["metrics"]["per_class"], strict=True):
        shares = [f"{each[name] * 100:.2f} %" for name in ("recall", "precision", "f1")]
        assert row.locator("th, td").all_text_contents() == [each["label"], *shares, f"{each['support']:,}"]


def test_curves_and_calibration(model: Page, training_api: Api, version: str) -> None:
    card = training_api.model(version)
    expect(model.locator(".scatterlayer")).to_have_count(3)
    expect(model.locator("#epochs tr")).to_have_count(len(card["history"]))
    losses = model.locator("#chart-loss-area").evaluate("area => area.data.map(({y}) => y)")
    assert losses == [[row[name] for row in card["history"]] for name in ("loss", "val_loss")]
    expect(model.locator("#calibration dd").nth(0)).to_have_text(f"{card['calibration']['error_before'] * 100:.2f} %")
    expect(model.locator("#calibration dd").nth(1)).to_have_text(f"{card['calibration']['error_after'] * 100:.2f} %")
    filled = [each for each in card["calibration"]["reliability"] if each["count"]]
    expect(model.locator("#reliability tr")).to_have_count(len(filled))


def test_examples_are_cut_out_of_the_picture_of_confusions(model: Page, training_api: Api, version: str) -> None:
    card = training_api.model(version)
    truth, answer = confusion(card)
    count = card["metrics"]["confusion_matrix"][truth][answer]
    cell(model, truth, answer).click()
    labels = card["labels"]
    expect(model.locator("#examples-text")).to_contain_text(f"for {labels[answer]}")
    examples = model.locator("#example-row canvas")
    expect(examples).to_have_count(min(3, count))
    sheet = Image.open(io.BytesIO(training_api.ask("GET", f"/v1/models/{version}/confusions").content)).convert("RGBA")
    for place in range(min(3, count)):
        left, top = (answer * 3 + place) * 32, truth * 32
        pixels = examples.nth(place).evaluate(
            "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        )
        assert bytes(pixels) == sheet.crop((left, top, left + 32, top + 32)).tobytes()


def test_the_matrix_by_keyboard(model: Page) -> None:
    expect(model.locator("[role=gridcell][tabindex='0']")).to_have_count(1)
    cell(model, 0, 0).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowUp"):
        model.keyboard.press(key)
    expect(cell(model, 1, 0)).to_be_focused()
    model.keyboard.press("Enter")
    expect(cell(model, 1, 0)).to_have_attribute("aria-selected", "true")
    expect(model.locator("#examples-text")).to_contain_text("automobile images")
    model.keyboard.press("ArrowRight")
    model.keyboard.press(" ")
    expect(model.locator("#examples-text")).to_contain_text("It recognises")
    expect(model.locator("[aria-selected]")).to_have_count(1)


def test_promote(model: Page, training_api: Api, version: str) -> None:
    before = training_api.champion()
    model.click("#promote")
    expect(model.locator("#confirm-text")).to_contain_text(before)
    model.click("#confirm-yes")
    expect(model.locator("#facts")).to_contain_text("Champion")
    expect(model.locator("#promote")).to_be_hidden()
    assert training_api.champion() == version
    training_api.promote(before)


def test_download(model: Page, training_api: Api, version: str) -> None:
    with model.expect_download() as download:
        model.get_by_role("link", name="Download").click()
    digest = hashlib.sha256(download.value.path().read_bytes()).hexdigest()
    assert digest == training_api.model(version)["file_sha256"]


def test_a_model_that_nobody_measured(training_page: Page, training_api: Api, version: str) -> None:
    card = training_api.model(version)
    nothing = {"metrics": None, "calibration": None, "views": None, "dataset": None, "seed": None, "history": []}
    card |= nothing | {"training_seconds": None, "code_version": None, "source": "cnn_model.h5", "best_epoch": None}
    training_page.route(f"**/v1/models/{version}", lambda route: route.fulfill(json=card))
    training_page.goto(f"/models/{version}")
    expect(training_page.locator("#figures")).to_contain_text("not measured")
    expect(training_page.locator("#facts")).to_contain_text("imported from cnn_model.h5")
    for section in ("matrix", "classes", "curves", "calibration"):
        expect(training_page.locator(f"#{section}-section")).to_be_hidden()
    expect(training_page.locator("#compare")).to_be_hidden()


def test_a_model_without_examples(page: Page, api: Api, complaints) -> None:
    """The first version that shipped was measured before examples were kept."""
    complaints.expected = ("404",)
    card = api.model(api.champion())
    page.route("**/confusions", lambda route: route.fulfill(status=404, json={"title": "Not found"}))
    page.goto(f"/models/{card['version']}")
    truth, answer = confusion(card)
    cell(page, truth, answer).click()
    expect(page.locator("#examples-text")).to_contain_text("No examples are kept of this model.")


def test_unknown_version(training_page: Page, complaints) -> None:
    complaints.expected = ("404",)
    assert training_page.goto("/models/nothing-20260101-00000000").status == 404
    expect(training_page.locator("h1")).to_have_text("Not found")
    expect(training_page.locator("main")).to_contain_text("There is no model version")


def test_adaptive_views_are_explained(training_page: Page, training_api: Api, version: str) -> None:
    card = training_api.model(version)
    views = {"served": "adaptive", "threshold": 0.9, "share": 0.25, "single_accuracy": 0.9322, "six_accuracy": 0.94}
    training_page.route(f"**/v1/models/{version}", lambda route: route.fulfill(json={**card, "views": views}))
    training_page.goto(f"/models/{version}")
    expect(training_page.locator("#figures-hint")).to_contain_text(re.compile(r"less than 90\.00 % sure: at 25\.00 %"))
