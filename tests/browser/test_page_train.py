"""The page that starts a training."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import SAMPLES, Api

RESULT = re.compile(r"/result/[0-9a-f]{32}$")


@pytest.fixture
def form(training_page: Page) -> Page:
    training_page.goto("/train")
    expect(training_page.locator("#form")).to_be_visible()
    return training_page


def preset(page: Page, name: str) -> None:
    page.check(f"input[name=preset][value={name}]")


def test_the_form_is_what_the_api_says(form: Page, training_api: Api) -> None:
    presets = training_api.ask("GET", "/v1/presets").json()["data"]
    shown = form.locator("#presets .choice strong")
    expect(shown).to_have_text([each["name"] for each in presets])
    for each in presets:
        preset(form, each["name"])
        expect(form.locator("#summary-preset")).to_have_text(each["name"])
        for name, spec in each["parameters"].items():
            field = form.locator(f"#field-{name}")
            if spec["type"] == "boolean":
                expect(field).to_be_checked(checked=spec["default"])
            elif spec["type"] == "string":
                expect(field).to_have_value(f'"{spec["default"]}"')
            else:
                assert float(field.input_value()) == spec["default"]
            expect(form.locator(f"#field-{name}-hint")).to_contain_text(spec["description"])


def test_what_differs_is_marked_and_can_be_reset(form: Page, training_api: Api) -> None:
    seed = next(each for each in training_api.ask("GET", "/v1/presets").json()["data"] if each["name"] == "seed")
    preset(form, "seed")
    expect(form.locator("#changes")).to_have_text("All settings as the preset has them")
    form.fill("#field-epochs", "3")
    form.uncheck("#field-augment") if seed["parameters"]["augment"]["default"] else form.check("#field-augment")
    expect(form.locator("#changes")).to_have_text("2 settings changed")
    expect(form.locator(".field-changed label")).to_have_text(["epochs", "augment"])
    form.click("[aria-label='Reset epochs to 8']")
    expect(form.locator("#field-epochs")).to_have_value("8")
    expect(form.locator("#field-epochs")).to_be_focused()
    expect(form.locator("#changes")).to_have_text("1 setting changed")
    form.click("#reset")
    expect(form.locator(".field-changed")).to_have_count(0)


def test_the_expected_time_follows_from_the_last_training(training_page: Page) -> None:
    """Given that only the first preset has been trained, then only its expected time is known."""

    def first_trained(route: Route) -> None:
        listed = route.fetch().json()
        for each, seconds in zip(listed["data"], [60, *[None] * 9], strict=False):
            times = {"seconds_per_epoch": seconds, "seconds": seconds and 8 * seconds, "host": seconds and "there"}
            each["cost"] |= times
        route.fulfill(json=listed)

    training_page.route("**/v1/presets", first_trained)
    training_page.goto("/train")
    cards = training_page.locator("#presets .choice")
    expect(cards.nth(0)).to_contain_text("weights · about 8 min")
    expect(cards.nth(1).locator("small")).to_have_text(re.compile("weights$"))
    cards.nth(0).locator("input").check()
    training_page.fill("#field-epochs", "100")
    expect(training_page.locator("#summary-time")).to_have_text("1 h 40 min")
    expect(training_page.locator("#summary-basis")).to_contain_text("100 epochs of 1 min")
    cards.nth(1).locator("input").check()
    expect(training_page.locator("#summary-time")).to_have_text("–")
    expect(training_page.locator("#summary-basis")).to_contain_text("Unknown until the first training")


def test_a_draft_survives_loading_again(form: Page) -> None:
    preset(form, "classic")
    form.fill("#field-learning_rate", "0.5")
    form.check("input[name=promote][value=if_better]")
    form.reload()
    expect(form.locator("#field-learning_rate")).to_have_value("0.5")
    expect(form.locator("input[name=preset][value=classic]")).to_be_checked()
    expect(form.locator("input[name=promote][value=if_better]")).to_be_checked()
    preset(form, "seed")
    expect(form.locator("#changes")).to_have_text("All settings as the preset has them")


def test_a_wrong_value_is_said_beside_its_field(form: Page) -> None:
    preset(form, "seed")
    form.click("#rest-title")
    form.fill("#field-first_filters", "0")
    form.click("#rest-title")
    form.fill("#field-batch_size", "")
    form.click("#start")
    expect(form.locator("#field-batch_size-fault")).to_have_text("Give a whole number from 1 to 10000.")
    expect(form.locator("#field-first_filters-fault")).to_be_visible()
    expect(form.locator("#field-batch_size")).to_be_focused()
    expect(form.locator("#field-batch_size")).to_have_attribute("aria-invalid", "true")
    form.fill("#field-batch_size", "64")
    expect(form.locator("#field-batch_size-fault")).to_be_hidden()


def test_what_the_service_refuses_is_said_beside_its_field(form: Page, complaints) -> None:
    complaints.expected = ("422",)
    preset(form, "seed")
    form.locator("#field-epochs").evaluate("field => field.removeAttribute('max')")
    form.fill("#field-epochs", "5000")
    form.click("#start")
    expect(form.locator("#field-epochs-fault")).to_contain_text("1 to 1000")
    expect(form.locator("#field-epochs")).to_be_focused()
    expect(form).to_have_url(re.compile("/train$"))


def test_start_cancel_and_try_again(form: Page, training_api: Api) -> None:
    preset(form, "seed")
    form.fill("#field-epochs", "1000")
    form.fill("#field-seed", "7")
    with form.expect_request(lambda request: request.method == "POST") as sent:
        form.click("#start")
    assert sent.value.headers["idempotency-key"]
    form.wait_for_url(RESULT)
    job = training_api.status(form.url.split("/")[-1])
    assert job["kind"] == "training"
    assert (job["params"]["preset"], job["params"]["epochs"], job["params"]["seed"]) == ("seed", 1000, 7)
    expect(form.locator("#params")).to_contain_text("1000")
    # Cancelling asks first
    form.click("#cancel")
    form.click("#confirm-no")
    assert not training_api.status(job["id"])["done"]
    form.click("#cancel")
    form.click("#confirm-yes")
    expect(form.locator("#state")).to_have_text("Cancelled")
    form.click("#retry")
    expect(form.locator("#state")).to_have_text(re.compile("Waiting|Running"))
    training_api.ask("POST", f"/v1/jobs/{job['id']}/cancel")
    expect(form.locator("#state")).to_have_text("Cancelled")
    # What was sent is no draft any more
    form.goto("/train")
    preset(form, "seed")
    expect(form.locator("#field-epochs")).to_have_value("8")


def test_a_repeat_is_the_same_training_and_coming_back_is_another(form: Page, complaints) -> None:
    complaints.expected = ("503",)
    named: list[str] = []

    def away(route: Route) -> None:
        named.append(route.request.headers["idempotency-key"])
        route.fulfill(status=503, json={"title": "Unavailable", "detail": f"try {len(named)}"})

    form.route("**/v1/jobs", away)
    for tried in (1, 2, 3):
        form.click("#start")
        expect(form.locator("#notice")).to_contain_text(f"Try {tried}.")
        if tried == 2:  # from the browser's page cache
            form.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    assert named[0] == named[1] != named[2]


def test_corrections_are_offered_and_learnt_from(form: Page, training_api: Api) -> None:
    """Given corrected pictures, when a training on them is started here, then its page and its model tell of them."""
    before = training_api.ask("GET", "/v1/corrections").json()["total"]
    job = training_api.job([(path.name, path.read_bytes()) for path in SAMPLES])
    items = {item["key"]: item["filename"].partition("-")[0] for item in training_api.results(job)}
    training_api.ask("POST", f"/v1/jobs/{job}/labels", json={"labels": items})
    form.reload()
    preset(form, "seed")
    offered = form.locator("#field-dataset option").nth(1)
    expect(offered).to_have_text(f"CIFAR-10 and my corrections ({max(before, len(SAMPLES))} pictures)")
    form.select_option("#field-dataset", index=1)
    form.fill("#field-epochs", "1")
    form.click("#start")
    expect(form.locator("#corrected")).to_have_text(
        re.compile(
            r"^Of \d+ corrected pictures that it has not learnt from it gets \d+\.\d\d % right, the champion .*%\.$"
        )
    )
    form.click("text=See the model")
    expect(form.locator("#corrections")).to_contain_text(re.compile(r"Learnt from\d+Each counted\d+ times"))
    expect(form.locator("#corrections-champion a")).to_have_text(training_api.champion())
    training_api.ask("POST", f"/v1/jobs/{job}/labels", json={"labels": dict.fromkeys(items)})
    form.goto("/train")
    preset(form, "seed")
    expect(offered).to_contain_text(f"({before} picture")


def test_only_versions_of_the_same_preset_can_be_gone_on_from(form: Page, training_api: Api) -> None:
    for name in ("seed", "fast"):
        preset(form, name)
        versions = [model["version"] for model in training_api.models() if model["preset"] == name]
        values = form.locator("#field-base option").evaluate_all("all => all.map((one) => JSON.parse(one.value))")
        assert values == [None, *versions]


def test_a_link_names_the_version_to_go_on_from(training_page: Page, training_api: Api) -> None:
    version = training_api.champion()
    training_page.goto(f"/models/{version}")
    training_page.click("#go-on")
    expect(training_page.locator("#field-base")).to_have_value(f'"{version}"')
    preset = version.split("-")[0]
    expect(training_page.locator(f"input[name=preset][value={preset}]")).to_be_checked()


def test_nobody_has_said_what_can_be_trained(training_page: Page, complaints) -> None:
    complaints.expected = ("503",)
    detail = "no training worker has said yet what it can train"

    def away(route: Route) -> None:
        route.fulfill(status=503, json={"title": "Temporarily unavailable", "status": 503, "detail": detail})

    training_page.route("**/v1/presets", away)
    training_page.goto("/train")
    expect(training_page.locator("#empty")).to_contain_text("No training worker has said yet what it can train.")
    training_page.unroute("**/v1/presets")
    expect(training_page.locator("#form")).to_be_visible()
    expect(training_page.locator("#empty")).to_be_hidden()


def test_no_training_worker_is_said(training_page: Page, complaints) -> None:
    complaints.expected = ("503",)
    workers = {"ok": False, "detail": "no worker was seen lately for: train"}
    training_page.route("**/readyz", lambda route: route.fulfill(status=503, json={"checks": {"workers": workers}}))
    training_page.goto("/train")
    expect(training_page.locator("#no-worker")).to_contain_text("waits for one")
    training_page.unroute("**/readyz")
    expect(training_page.locator("#no-worker")).to_be_hidden()
