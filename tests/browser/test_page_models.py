"""The list of models, comparing two, promoting and rolling back, and importing."""

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
from tests.browser.kit import Api
from tests.conftest import Service
from tests.models_kit import small_app_file
from tests.versions_kit import measured, version_folder
from tests.worker.kit import threads

__all__ = ["threads"]  # a model is made in this process


@pytest.fixture
def models(training_page: Page, training_api: Api, two_versions) -> Iterator[Page]:
    """The list, with the shipped model as the champion; so it is afterwards."""
    before = training_api.champion()
    training_page.goto("/models")
    expect(row(training_page, two_versions[0])).to_be_visible()
    yield training_page
    training_api.promote(before)


def row(page: Page, version: str):
    return page.locator(f"tr[data-version='{version}']")


def shown(page: Page) -> list[str]:
    return page.locator("#rows tr").evaluate_all("rows => rows.map((row) => row.dataset.version)")


def test_rows_say_what_the_api_says(models: Page, training_api: Api) -> None:
    cards = training_api.models()
    assert shown(models) == [card["version"] for card in cards]
    for card in cards:
        place = row(models, card["version"])
        expect(place.locator(".accuracy")).to_have_text(f"{card['metrics']['accuracy'] * 100:.2f} %")
        expect(place.locator(".latency")).to_have_text(f"{card['latency']['single_image_ms']:.1f} ms")
        expect(place.locator(".champion-mark")).to_have_count(int(card["champion"]))
        expect(place.get_by_role("button", name="Promote")).to_have_count(int(not card["champion"]))
    expect(models.locator("#champion-facts")).to_contain_text(training_api.champion())


def test_order(models: Page, training_api: Api) -> None:
    cards = training_api.models()
    models.select_option("#order", "accurate")
    accuracies = {card["version"]: card["metrics"]["accuracy"] for card in cards}
    best_first = [accuracies[version] for version in shown(models)]
    assert best_first == sorted(best_first, reverse=True)
    models.select_option("#order", "name")
    assert shown(models) == sorted(accuracies)


def test_the_focus_stays_while_time_goes_on(models: Page, two_versions: tuple[str, str]) -> None:
    models.clock.install()
    models.reload()
    place = row(models, two_versions[0])
    place.locator("input").focus()
    models.clock.fast_forward("05:00:00")
    expect(place.locator("time")).to_have_text("5 hours ago")
    expect(place.locator("input")).to_be_focused()


def test_a_new_version_appears_by_itself(models: Page, training_service: Service, tmp_path: Path) -> None:
    # The storage is all that publishing takes, so it does not matter that this Redis is nobody's.
    parts = Services.build(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=training_service.data_dir))
    folder = measured(version_folder(tmp_path, created_at=datetime.now(UTC).isoformat()))
    expect(row(models, parts.registry.publish(folder).version)).to_contain_text("just now")
    parts.close()


def test_two_that_are_picked_are_compared(models: Page, training_api: Api, two_versions: tuple[str, str]) -> None:
    expect(models.locator("#compare")).to_be_disabled()
    for version in (training_api.champion(), *two_versions):
        row(models, version).locator("input").check()
    expect(models.locator("input:checked")).to_have_count(2)  # the first goes when a third is picked
    models.click("#compare")
    expect(models.locator("#comparison")).to_be_visible()
    names = ",".join(two_versions)
    found = training_api.ask("GET", "/v1/models/compare", params={"versions": names}).json()
    expect(models.locator("#summary")).to_contain_text(found["summary"].rstrip("."))
    figures = models.locator("#test dd")
    expected = [f"{found['images']:,}", str(found["only_first"]), str(found["only_second"])]
    assert figures.all_text_contents()[:3] == expected
    expect(models.locator("#classes tr")).to_have_count(10)
    worst = min(found["per_class"], key=lambda each: each["difference"])
    cells = models.locator("#classes tr", has_text=worst["label"]).locator("td")
    expect(cells.nth(0)).to_have_text(f"{worst['first'] * 100:.2f} %")
    expect(cells.nth(1)).to_have_text(f"{worst['second'] * 100:.2f} %")
    for id_, accuracy in zip(("first", "second"), found["accuracy"], strict=True):
        place = 1 + ["first", "second"].index(id_)
        expect(models.locator(f"#both tr >> nth=0 >> td:nth-child({place + 1})")).to_have_text(
            f"{accuracy * 100:.2f} %"
        )


def test_the_better_one_can_be_promoted(training_page: Page, training_api: Api, two_versions: tuple[str, str]) -> None:
    """Two short trainings may not differ beyond chance, so the verdict is made up; the promotion is real."""
    before = training_api.champion()
    names = ",".join(two_versions)
    found = training_api.ask("GET", "/v1/models/compare", params={"versions": names}).json()
    found |= {"verdict": "better", "difference": 0.2, "interval": [0.1, 0.3]}
    training_page.route("**/v1/models/compare?*", lambda route: route.fulfill(json=found))
    training_page.goto(f"/models/compare?versions={names}")
    expect(training_page.locator("#verdict")).to_have_text("The second is better")
    expect(training_page.locator("#interval")).to_have_attribute(
        "aria-label", "Difference +20.00 points, between +10.00 and +30.00"
    )
    training_page.click("#promote")
    training_page.click("#confirm-yes")
    expect(training_page.locator("#promote")).to_be_hidden()
    assert training_api.champion() == two_versions[1]
    training_api.promote(before)


def test_what_cannot_be_compared_is_said(training_page: Page, training_api: Api, two_versions, complaints) -> None:
    complaints.expected = ("409", "422")
    shipped = training_api.champion()
    training_page.goto(f"/models/compare?versions={shipped},{two_versions[0]}")
    expect(training_page.locator("#notice")).to_contain_text("cannot be compared")
    expect(training_page.locator("#first")).to_have_value(shipped)
    training_page.goto("/models/compare?versions=nothing,else")
    expect(training_page.locator("#notice")).to_contain_text("nothing")
    training_page.goto("/models/compare")
    expect(training_page.locator("#notice")).to_contain_text("Which two?")
    training_page.select_option("#first", two_versions[1])
    training_page.select_option("#second", two_versions[0])
    training_page.click("#choice button")
    expect(training_page.locator("#comparison")).to_be_visible()
    expect(training_page.locator("#first-name")).to_contain_text(two_versions[1])


def test_promote_and_roll_back(models: Page, training_api: Api, two_versions: tuple[str, str]) -> None:
    before, version = training_api.champion(), two_versions[0]
    row(models, version).get_by_role("button").click()
    expect(models.locator("#confirm-text")).to_contain_text(f"{version} takes over from {before}")
    expect(models.locator("#confirm-text")).to_contain_text("not on the same images")
    models.keyboard.press("Escape")
    expect(models.locator("#confirm")).to_be_hidden()
    assert training_api.champion() == before
    row(models, version).get_by_role("button").click()
    models.click("#confirm-yes")
    expect(row(models, version).locator(".champion-mark")).to_be_visible()
    expect(row(models, version).locator("a")).to_be_focused()  # the button that was pressed is gone
    assert training_api.champion() == version
    row(models, two_versions[1]).get_by_role("button").click()
    mine, theirs = (training_api.model(each)["metrics"]["accuracy"] * 100 for each in reversed(two_versions))
    expect(models.locator("#confirm-text")).to_contain_text(f"{mine:.2f} % instead of {theirs:.2f} %")
    models.click("#confirm-no")
    models.click("#roll-back")
    expect(models.locator("#confirm-text")).to_contain_text(before)
    models.click("#confirm-yes")
    expect(row(models, before).locator(".champion-mark")).to_be_visible()
    assert training_api.champion() == before


def test_a_champion_that_was_changed_elsewhere(models: Page, training_api: Api, two_versions, complaints) -> None:
    complaints.expected = ("412",)
    # Given a page that has not seen yet what somebody else has done
    old = training_api.ask("GET", "/v1/models/aliases")
    seen = {"json": old.json(), "headers": {"ETag": old.headers["ETag"]}}
    models.route("**/v1/models/aliases", lambda route: route.fulfill(**seen))
    models.reload()
    expect(row(models, two_versions[0])).to_be_visible()
    training_api.promote(two_versions[1])
    # When another one is promoted there
    row(models, two_versions[0]).get_by_role("button").click()
    models.on("request", lambda request: request.method == "PUT" and models.unroute("**/v1/models/aliases"))
    models.click("#confirm-yes")
    # Then it says what happened, shows the champion of now, and has changed nothing
    expect(models.locator("#notice")).to_contain_text(f"it is {two_versions[1]} now")
    expect(row(models, two_versions[1]).locator(".champion-mark")).to_be_visible()
    assert training_api.champion() == two_versions[1]


def test_a_file_that_is_no_model_is_refused(models: Page, tmp_path, complaints) -> None:
    complaints.expected = ("422",)
    models.click("#import-start")
    expect(models.locator("#file-fault")).to_have_text("Choose a .keras or .h5 file.")
    expect(models.locator("#file")).to_be_focused()
    file = tmp_path / "notes.keras"
    file.write_text("only text")
    models.set_input_files("#file", str(file))
    models.click("#import-start")
    expect(models.locator("#file-fault")).to_contain_text("neither a .keras nor a .h5 file")
    expect(models.locator("#importing")).to_be_hidden()


def test_wrong_labels_are_said_beside_them(models: Page, complaints) -> None:
    complaints.expected = ("422",)
    models.set_input_files("#file", str(next(SHIPPED.glob(f"*/{MODEL_FILE}"))))
    models.fill("#labels", "cat\ndog\ncat")
    models.click("#import-start")
    expect(models.locator("#labels-fault")).to_contain_text("twice")
    expect(models.locator("#labels")).to_be_focused()


def test_import(models: Page, training_api: Api, tmp_path: Path) -> None:
    models.set_input_files("#file", str(small_app_file(tmp_path / "small.keras")))
    models.fill("#name", "from-elsewhere.keras")
    models.click("#import-start")
    expect(models.locator("#imported")).to_contain_text("Imported as imported-")
    version = models.locator("#imported a").text_content()
    expect(row(models, version)).to_be_visible()
    models.click("#imported a")
    expect(models.locator("h1")).to_have_text(version)
    expect(models.locator("#facts")).to_contain_text("imported from from-elsewhere.keras")
    expect(models.locator("#go-on")).to_be_hidden()
    assert training_api.model(version)["source"] == "from-elsewhere.keras"


def test_progress_of_an_import(models: Page) -> None:
    held: list[Route] = []
    models.route(
        "**/v1/models", lambda route: held.append(route) if route.request.method == "POST" else route.continue_()
    )
    models.set_input_files("#file", str(next(SHIPPED.glob(f"*/{MODEL_FILE}"))))
    models.click("#import-start")
    expect(models.locator("#importing-text")).to_contain_text(re.compile("Sending the file|reads the file"))
    expect(models.locator("#import-start")).to_be_disabled()
    held[0].fulfill(status=201, json={"version": "imported-20260101-00000000", "metrics": None})
    expect(models.locator("#imported")).to_contain_text("Its accuracy was not measured.")
    expect(models.locator("#import-start")).to_be_enabled()


def test_a_service_that_is_away_is_said(models: Page, complaints) -> None:
    complaints.expected = ("net::",)
    models.route("**/v1/models", lambda route: route.abort())
    models.reload()
    expect(models.locator("#notice")).to_contain_text("The service does not answer.")
    models.unroute("**/v1/models")
    expect(models.locator("#notice")).to_be_hidden()
    expect(models.locator("#versions")).to_be_visible()
