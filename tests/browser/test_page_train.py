"""The page that starts a training."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import Api, Complaints

#: Milliseconds between two polls of the page.
POLL_MS = 5000


@pytest.fixture
def form(page: Page) -> Page:
    page.goto("/train")
    expect(page.locator("#form")).to_be_visible()
    return page


def preset(page: Page, name: str) -> None:
    page.check(f"input[name=preset][value={name}]")


def changes(page: Page, count: int) -> None:
    """Expect `count` changed settings."""
    expect(page.locator(".field-changed")).to_have_count(count)
    expect(page.locator("#reset")).to_be_visible(visible=count > 0)


def test_the_form_shows_the_presets(form: Page, api: Api) -> None:
    presets = [
        each for each in api.ask("GET", "/v1/presets").json()["data"] if each["name"] not in ("head", "finetune")
    ]
    versions = api.models()
    expect(form.locator("#presets .choice strong")).to_have_text([each["name"] for each in presets])
    for each in presets:
        preset(form, each["name"])
        expect(form.locator("#summary-preset")).to_have_text(each["name"])
        for name, spec in each["parameters"].items():
            field = form.locator(f"#field-{name}")
            if spec["type"] == "boolean":
                expect(field).to_be_checked(checked=spec["default"])
            elif "string" in spec["type"]:
                expect(field).to_have_value(json.dumps(spec["default"]))
            else:
                assert float(field.input_value()) == spec["default"]
            expect(form.locator(f"#field-{name}-hint")).to_contain_text(spec["description"])
        # Only versions of the same preset can be a base
        values = form.locator("#field-base option").evaluate_all("all => all.map((one) => JSON.parse(one.value))")
        assert values == [None, *(model["version"] for model in versions if model["preset"] == each["name"])]


def test_the_expected_time_is_that_of_the_last_training(page: Page) -> None:
    # Given that only the first preset has been trained, at a minute per epoch
    def first_trained(route: Route) -> None:
        listed = route.fetch().json()
        for each, seconds in zip(listed["data"], [60, *[None] * 9], strict=False):
            times = {"seconds_per_epoch": seconds, "seconds": seconds and 8 * seconds, "host": seconds and "there"}
            each["cost"] |= times
        route.fulfill(json=listed)

    page.route("**/v1/presets", first_trained)
    page.goto("/train")
    cards = page.locator("#presets .choice")
    expect(cards.nth(0)).to_contain_text("8 min")
    expect(cards.nth(1).locator("small")).to_have_text(re.compile("weights$"))
    cards.nth(0).locator("input").check()
    page.fill("#field-epochs", "100")
    expect(page.locator("#summary-time")).to_have_text("1 h 40 min")
    expect(page.locator("#summary-basis")).to_contain_text("100 epochs")
    # Then the time of the second is unknown
    cards.nth(1).locator("input").check()
    expect(page.locator("#summary-time")).to_have_text("–")
    expect(page.locator("#summary-basis")).to_contain_text("Unknown")


def test_changed_settings_are_marked_kept_and_reset(form: Page, api: Api) -> None:
    seed = next(each for each in api.ask("GET", "/v1/presets").json()["data"] if each["name"] == "seed")
    default = seed["parameters"]["augment"]["default"]
    preset(form, "seed")
    changes(form, 0)
    form.fill("#field-epochs", "3")
    form.set_checked("#field-augment", not default)
    form.check("input[name=promote][value=if_better]")
    changes(form, 2)
    expect(form.locator(".field-changed label")).to_have_text(["epochs", "augment"])
    # A reload keeps them, for each preset its own
    preset(form, "classic")
    changes(form, 0)
    form.fill("#field-epochs", "5")
    form.reload()
    expect(form.locator("input[name=preset][value=classic]")).to_be_checked()
    expect(form.locator("input[name=promote][value=if_better]")).to_be_checked()
    expect(form.locator("#field-epochs")).to_have_value("5")
    changes(form, 1)
    preset(form, "seed")
    expect(form.locator("#field-epochs")).to_have_value("3")
    changes(form, 2)
    # One is reset, then all
    form.click(".field:has(#field-epochs) .field-reset")
    expect(form.locator("#field-epochs")).to_have_value("8")
    expect(form.locator("#field-epochs")).to_be_focused()
    changes(form, 1)
    form.click("#reset")
    changes(form, 0)


def test_errors_are_shown_beside_their_fields(form: Page, complaints: Complaints) -> None:
    complaints.expected = ("422",)
    # Those that the browser finds
    preset(form, "seed")
    form.click("#rest-title")
    form.fill("#field-first_filters", "0")
    form.click("#rest-title")
    form.fill("#field-batch_size", "")
    form.click("#start")
    expect(form.locator("#field-batch_size-fault")).to_contain_text("10000")
    expect(form.locator("#field-first_filters-fault")).to_be_visible()
    expect(form.locator("#field-batch_size")).to_be_focused()
    expect(form.locator("#field-batch_size")).to_have_attribute("aria-invalid", "true")
    form.fill("#field-batch_size", "64")
    expect(form.locator("#field-batch_size-fault")).to_be_hidden()
    form.click("#reset")
    # And those that the service finds
    form.locator("#field-epochs").evaluate("field => field.removeAttribute('max')")
    form.fill("#field-epochs", "5000")
    form.click("#start")
    expect(form.locator("#field-epochs-fault")).to_contain_text("1000")
    expect(form.locator("#field-epochs")).to_be_focused()
    expect(form).to_have_url(re.compile("/train$"))


def test_a_retry_is_the_same_training_and_a_return_is_another(form: Page, complaints) -> None:
    complaints.expected = ("503",)
    named: list[str] = []

    def away(route: Route) -> None:
        named.append(route.request.headers["idempotency-key"])
        route.fulfill(status=503, json={"title": "Unavailable", "detail": f"try {len(named)}"})

    form.route("**/v1/jobs", away)
    for tried in (1, 2, 3):
        form.click("#start")
        expect(form.locator("#notice")).to_contain_text(f"Try {tried}.")
        if tried == 2:  # a return from the browser's page cache
            form.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert named[0] == named[1] != named[2]


def test_a_link_names_the_base_version(page: Page, api: Api) -> None:
    version = api.champion()
    page.goto(f"/models/{version}")
    page.click("#go-on")
    expect(page.locator("#field-base")).to_have_value(f'"{version}"')
    preset = version.split("-")[0]
    expect(page.locator(f"input[name=preset][value={preset}]")).to_be_checked()


def test_missing_presets_and_workers(page: Page, complaints: Complaints) -> None:
    complaints.expected = ("503",)
    page.clock.install()
    missing = {"title": "Service unavailable", "status": 503, "detail": "no training worker has published its presets"}
    workers = {"ok": False, "detail": "no worker was seen lately for: train"}
    page.route("**/v1/presets", lambda route: route.fulfill(status=503, json=missing))
    page.route("**/readyz", lambda route: route.fulfill(status=503, json={"checks": {"workers": workers}}))
    page.goto("/train")
    expect(page.locator("#empty")).to_contain_text("No training worker has published its presets.")
    expect(page.locator("#no-worker")).to_be_visible()
    page.unroute("**/v1/presets")
    page.unroute("**/readyz")
    page.clock.fast_forward(POLL_MS)
    expect(page.locator("#form")).to_be_visible()
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator("#no-worker")).to_be_hidden()
