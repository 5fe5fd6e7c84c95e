"""The list of models: comparing, promoting, rolling back and importing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from shared.domain.card import MODEL_FILE
from shared.models.registry import SHIPPED
from shared.services import Services
from shared.settings import Settings
from tests.browser.kit import Api, Complaints, drop, number, rounded
from tests.conftest import Service
from tests.models_kit import small_app_file
from tests.versions_kit import measured, shipped, version_folder
from tests.worker.kit import threads

__all__ = ["threads"]  # a model is made in this process
#: Milliseconds between two polls of the page.
POLL_MS = 10_000


@pytest.fixture
def models(page: Page, api: Api, two_versions) -> Iterator[Page]:
    """The list, with the shipped model as the champion before and after the test."""
    before = api.champion()
    page.goto("/models")
    expect(row(page, two_versions[0])).to_be_visible()
    yield page
    api.promote(before)


def row(page: Page, version: str):
    return page.locator(f"tr[data-version='{version}']")


def shown(page: Page) -> list[str]:
    return page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.dataset.version)")


def test_rows_and_their_order(models: Page, api: Api) -> None:
    cards = api.models()
    assert shown(models) == [card["version"] for card in cards]
    for card in cards:
        place = row(models, card["version"])
        if card["metrics"] is None:
            expect(place.locator(".accuracy")).to_have_text("not measured")
        else:
            assert number(place.locator(".accuracy").text_content()) == rounded(card["metrics"]["accuracy"] * 100, 2)
        expect(place.locator("th")).to_contain_text(f"Classifier {card['classifier']}")
        assert number(place.locator(".latency").text_content()) == rounded(card["latency"]["single_image_ms"], 1)
        expect(place.locator(".champion-mark")).to_have_count(int(card["champion"]))
        expect(place.get_by_role("button", name="Promote")).to_have_count(int(not card["champion"]))
    expect(models.locator("#champion-facts")).to_contain_text(api.champion())
    models.select_option("#order", "accurate")
    accuracies = {card["version"]: (card["metrics"] or {"accuracy": -1})["accuracy"] for card in cards}
    best_first = [accuracies[version] for version in shown(models)]
    assert best_first == sorted(best_first, reverse=True)
    models.select_option("#order", "name")
    assert shown(models) == sorted(accuracies)


def test_updates(models: Page, service: Service, two_versions, tmp_path: Path, complaints: Complaints) -> None:
    complaints.expected = ("net::",)
    models.clock.install()
    models.reload()
    place = row(models, two_versions[0])
    place.locator("input").focus()
    # When a version is published, then it appears, and the focus stays
    # Publishing needs only the storage, so this Redis does not have to exist.
    parts = Services.build(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=service.data_dir))
    folder = measured(version_folder(tmp_path, created_at=datetime.now(UTC).isoformat()))
    published = parts.registry.publish(folder).version
    parts.close()
    models.clock.fast_forward(POLL_MS)
    expect(row(models, published)).to_be_visible()
    models.clock.fast_forward("05:00:00")
    expect(place.locator("time")).to_have_text("5 hours ago")
    expect(place.locator("input")).to_be_focused()
    # When the service is away, then the page says so until it is back
    models.route("**/v1/models", lambda route: route.abort())
    models.clock.fast_forward(POLL_MS)
    expect(models.locator("#notice")).to_be_visible()
    models.unroute("**/v1/models")
    models.clock.fast_forward(POLL_MS)
    expect(models.locator("#notice")).to_be_hidden()
    expect(models.locator("#versions")).to_be_visible()


def test_comparing_two_versions(models: Page, api: Api, two_versions: tuple[str, str]) -> None:
    expect(models.locator("#compare")).to_be_disabled()
    for version in (api.champion(), *two_versions):
        row(models, version).locator("input").check()
    expect(models.locator("input:checked")).to_have_count(2)  # the first is dropped when a third is selected
    models.click("#compare")
    expect(models.locator("#comparison")).to_be_visible()
    names = ",".join(two_versions)
    found = api.ask("GET", "/v1/models/compare", params={"versions": names}).json()
    expect(models.locator("#summary")).to_contain_text(found["summary"].rstrip("."))
    figures = [number(text) for text in models.locator("#test dd").all_text_contents()[:3]]
    assert figures == [found["images"], found["only_first"], found["only_second"]]
    expect(models.locator("#classes tr")).to_have_count(10)
    worst = min(found["per_class"], key=lambda each: each["difference"])
    cells = models.locator("#classes tr", has_text=worst["label"]).locator("td").all_text_contents()[:2]
    assert [number(text) for text in cells] == [rounded(worst[name] * 100, 2) for name in ("first", "second")]
    accuracies = models.locator("#both tr >> nth=0 >> td").all_text_contents()
    assert [number(text) for text in accuracies] == [rounded(each * 100, 2) for each in found["accuracy"]]
    expect(models.locator("#others-hint")).to_be_hidden()


def test_the_better_version_can_be_promoted(page: Page, api: Api, two_versions) -> None:
    """Two short trainings may not differ significantly, so the verdict is made up; the promotion is real."""
    before = api.champion()
    names = ",".join(two_versions)
    found = api.ask("GET", "/v1/models/compare", params={"versions": names}).json()
    found |= {"verdict": "better", "difference": 0.2, "interval": [0.1, 0.3], "left_out": [3, 0]}
    page.route("**/v1/models/compare?*", lambda route: route.fulfill(json=found))
    page.goto(f"/models/compare?versions={names}")
    expect(page.locator("#verdict")).to_contain_text("second is better")
    expect(page.locator("#others-hint")).to_be_visible()
    label = re.compile(r"\+20\.00.*\+10\.00.*\+30\.00")
    expect(page.locator("#interval")).to_have_attribute("aria-label", label)
    page.click("#promote")
    page.click("#confirm-yes")
    expect(page.locator("#promote")).to_be_hidden()
    assert api.champion() == two_versions[1]
    api.promote(before)


def test_versions_that_cannot_be_compared(page: Page, api: Api, two_versions, complaints) -> None:
    complaints.expected = ("409", "422")
    shipped = api.champion()
    page.goto(f"/models/compare?versions={shipped},{two_versions[0]}")
    expect(page.locator("#notice")).to_contain_text("cannot be compared")
    expect(page.locator("#first")).to_have_value(shipped)
    page.goto("/models/compare?versions=nothing,else")
    expect(page.locator("#notice")).to_contain_text("nothing")
    page.goto("/models/compare")
    expect(page.locator("#notice")).to_be_visible()
    page.select_option("#first", two_versions[1])
    page.select_option("#second", two_versions[0])
    page.click("#choice button")
    expect(page.locator("#comparison")).to_be_visible()
    expect(page.locator("#first-name")).to_contain_text(two_versions[1])


def test_promote_and_roll_back(models: Page, api: Api, two_versions: tuple[str, str]) -> None:
    before, version = api.champion(), two_versions[0]
    row(models, version).get_by_role("button").click()
    expect(models.locator("#confirm-text")).to_contain_text(re.compile(f"{version}.*{before}"))
    expect(models.locator("#confirm-text")).to_contain_text("other images")
    models.keyboard.press("Escape")
    expect(models.locator("#confirm")).to_be_hidden()
    assert api.champion() == before
    row(models, version).get_by_role("button").click()
    models.click("#confirm-yes")
    expect(row(models, version).locator(".champion-mark")).to_be_visible()
    expect(row(models, version).locator("a")).to_be_focused()  # the clicked button is gone
    assert api.champion() == version
    models.click("#roll-back")
    expect(models.locator("#confirm-text")).to_contain_text(before)
    models.click("#confirm-yes")
    expect(row(models, before).locator(".champion-mark")).to_be_visible()
    assert api.champion() == before


def test_a_champion_that_was_changed_elsewhere(models: Page, api: Api, two_versions, complaints) -> None:
    complaints.expected = ("412",)
    # Given a page that has not seen a change made elsewhere
    old = api.ask("GET", "/v1/models/aliases")
    seen = {"json": old.json(), "headers": {"ETag": old.headers["ETag"]}}
    models.route("**/v1/models/aliases", lambda route: route.fulfill(**seen))
    models.reload()
    expect(row(models, two_versions[0])).to_be_visible()
    api.promote(two_versions[1])
    # When another version is promoted there
    row(models, two_versions[0]).get_by_role("button").click()
    models.on("request", lambda request: request.method == "PUT" and models.unroute("**/v1/models/aliases"))
    models.click("#confirm-yes")
    # Then it names the current champion and changes nothing
    expect(models.locator("#notice")).to_contain_text(two_versions[1])
    expect(row(models, two_versions[1]).locator(".champion-mark")).to_be_visible()
    assert api.champion() == two_versions[1]


def test_import(models: Page, api: Api, tmp_path: Path, complaints: Complaints) -> None:
    complaints.expected = ("422",)
    # Given no file, a file that is not a model, and wrong labels, then each error is beside its field
    models.click("#import-start")
    expect(models.locator("#file-fault")).to_be_visible()
    expect(models.locator("#file")).to_be_focused()
    (tmp_path / "notes.keras").write_text("only text")
    models.set_input_files("#file", str(tmp_path / "notes.keras"))
    models.click("#import-start")
    expect(models.locator("#file-fault")).to_contain_text(".h5")
    expect(models.locator("#importing")).to_be_hidden()
    models.set_input_files("#file", str(SHIPPED / shipped() / MODEL_FILE))
    models.fill("#labels", "cat\ndog\ncat")
    models.click("#import-start")
    expect(models.locator("#labels-fault")).to_be_visible()
    expect(models.locator("#labels")).to_be_focused()
    # When the file is right, and dropped on the page, then its version is listed
    drop(models.locator("h1"), "small.keras", small_app_file(tmp_path / "small.keras").read_bytes())
    expect(models.locator("#import-start")).to_be_focused()
    models.fill("#labels", "")
    models.fill("#name", "from-elsewhere.keras")
    models.click("#import-start")
    expect(models.locator("#value-range-fault")).to_contain_text("No choice is clearly the best")
    models.select_option("#value-range", "-1..1")
    models.click("#import-start")
    expect(models.locator("#imported")).to_contain_text("−1 to 1, as given")
    version = models.locator("#imported a").text_content()
    expect(row(models, version)).to_be_visible()
    models.click("#imported a")
    expect(models.locator("h1")).to_have_text(version)
    expect(models.locator("#facts")).to_contain_text("from-elsewhere.keras")
    expect(models.locator("#go-on")).to_be_hidden()
    assert api.model(version)["source"] == "from-elsewhere.keras"


def test_progress_of_an_import(models: Page) -> None:
    held: list[Route] = []
    models.route(
        "**/v1/models", lambda route: held.append(route) if route.request.method == "POST" else route.continue_()
    )
    models.set_input_files("#file", str(SHIPPED / shipped() / MODEL_FILE))
    models.click("#import-start")
    expect(models.locator("#importing-text")).not_to_be_empty()
    expect(models.locator("#import-start")).to_be_disabled()
    held[0].fulfill(status=201, json={"version": "imported-20260101-00000000", "metrics": None})
    expect(models.locator("#imported")).to_contain_text("imported-20260101-00000000")
    expect(models.locator("#import-start")).to_be_enabled()
