"""A training job's page."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import Api, wait_until_true

#: Milliseconds after which the page reads again what it could not read.
RETRY_MS = 4000


def expect_points(page: Page, chart: str, *counts: int) -> None:
    """Wait until the lines of a chart have so many points."""
    lengths = f"document.querySelector('#chart-{chart}-area').data?.map(({{x}}) => x.length)"
    wait_until_true(page, f"{lengths}?.join() === '{','.join(map(str, counts))}'")


def rows(count: int, per_epoch: int = 4, steps: int = 40, at: str = "2026-01-01T00:00:00.000Z") -> list[dict]:
    """So many rows of a made-up training, whose last one in each epoch has the validation's figures."""
    return [
        {
            "n": n,
            "epoch": (n - 1) // per_epoch + 1,
            "step": n,
            "steps": steps,
            "loss": 2 / n,
            "accuracy": 1 - 1 / (n + 1),
            "val_loss": 3 / n if n % per_epoch == 0 else None,
            "val_accuracy": 0.5 if n % per_epoch == 0 else None,
            "lr": 0.1,
            "images_per_s": 100.0,
            "at": at,
        }
        for n in range(1, count + 1)
    ]


@pytest.fixture
def made_up(training_page: Page, training_api: Api, trained_job: str) -> Callable[..., Page]:
    """Opens the page of a training in a state that real ones pass too quickly; `state` and `rows` may change later."""
    job = training_api.status(trained_job)
    job |= {"done": False, "finished_at": None, "expires_at": None, "model": None, "promotion": None, "eta_s": 90}
    job["params"] = job["params"] | {"epochs": 10}
    now = {"job": job, "rows": []}

    def metrics(route: Route) -> None:
        after = int(re.search(r"after=(\d+)", route.request.url)[1])
        route.fulfill(json={"data": now["rows"][after:], "next": len(now["rows"])})

    def open_page(rows: list[dict] | None = None, **changes) -> Page:
        now["job"], now["rows"] = job | changes, rows or now["rows"]
        if training_page.url == "about:blank":
            training_page.route(
                re.compile(rf"/v1/jobs/{job['id']}\?wait="), lambda route: route.fulfill(json=now["job"])
            )
            training_page.route(re.compile(rf"/v1/jobs/{job['id']}/metrics"), metrics)
            training_page.goto(f"/result/{job['id']}")
        return training_page

    return open_page


def test_from_the_first_step_to_the_model(training_page: Page, training_api: Api) -> None:
    page = training_page
    # Given a training that has just begun
    job = training_api.training(epochs=3, batch_size=16, promote="never")
    page.goto(f"/result/{job}")
    expect(page.locator("#title")).to_have_text("Training of seed")
    # Then its curves and its table grow without a reload, and it ends with a model
    expect(page.locator("#chart-loss-area .scatterlayer")).to_have_count(1)
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator("#epochs tr")).to_have_count(3)
    expect(page.locator("#epoch")).to_have_text("3 of 3")
    read = training_api.ask("GET", f"/v1/jobs/{job}/metrics").json()["data"]
    expect(page.locator("#curves")).to_be_visible()
    for chart in ("loss", "accuracy"):
        expect_points(page, chart, len(read), 3)
    last = page.locator("#epochs tr").last.locator("td")
    expect(last.nth(2)).to_have_text(f"{read[-1]['val_loss']:.4f}")
    expect(last.nth(3)).to_have_text(f"{read[-1]['val_accuracy'] * 100:.2f} %")
    version = training_api.status(job)["model"]
    accuracy = training_api.model(version)["metrics"]["accuracy"]
    expect(page.locator("#promotion")).to_contain_text("left to you")
    expect(page.locator("#measured")).to_contain_text(f"{accuracy * 100:.2f} %")
    # And the list of jobs has it
    page.goto("/jobs")
    row = page.locator(f"tr[data-job='{job}']")
    expect(row).to_contain_text("3 epochs")
    row.locator("a").click()
    # And it can be deleted, which leaves the model
    page.click("#delete")
    page.click("#confirm-yes")
    page.wait_for_url("**/jobs")
    expect(row).to_have_count(0)
    assert training_api.model(version)["version"] == version
    page.goto(f"/models/{version}")
    expect(page.locator("h1")).to_have_text(version)


def test_finish_early_and_take_over(training_page: Page, training_api: Api) -> None:
    page, before = training_page, training_api.champion()
    job = training_api.training(epochs=1000, batch_size=64, promote="always", seed=3)
    page.goto(f"/result/{job}")
    expect(page.locator("#epochs tr").nth(1)).to_be_attached()
    page.click("#finish")
    page.click("#confirm-no")
    assert not training_api.status(job)["done"]
    page.click("#finish")
    page.click("#confirm-yes")
    expect(page.locator("#state")).to_have_text("Done")
    expect(page.locator("#outcome-title")).to_have_text("The new model serves new jobs")
    expect(page.locator("#promotion")).to_contain_text("Promoted")
    assert training_api.champion() == training_api.status(job)["model"]
    expect(page.locator("#outcome-links a")).to_have_text(["See the model"])
    training_api.promote(before)


def test_the_zoom_stays_while_the_curves_grow(made_up) -> None:
    page = made_up(rows(8), state="running", progress=0.2)
    chart = page.locator("#chart-loss-area")
    expect(chart.locator(".scatterlayer")).to_have_count(1)
    box = chart.locator(".nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 150, steps=5)
    page.mouse.up()
    expect(page.locator("#chart-loss-whole")).to_be_visible()
    zoomed = chart.evaluate("area => [...area.layout.xaxis.range, ...area.layout.yaxis.range]")
    made_up(rows(20), state="running", progress=0.5)
    expect(page.locator("#epochs tr")).to_have_count(5)
    wait_until_true(page, "document.querySelector('#chart-loss-area').data[0].x.length === 20")
    assert chart.evaluate("area => [...area.layout.xaxis.range, ...area.layout.yaxis.range]") == zoomed
    page.click("#chart-loss-whole")
    expect(page.locator("#chart-loss-whole")).to_be_hidden()
    wait_until_true(page, "document.querySelector('#chart-loss-area').layout.xaxis.range[1] >= 5")


def test_rows_that_were_written_again_replace_the_old_ones(made_up) -> None:
    page = made_up(rows(12), state="running", progress=0.3)
    expect(page.locator("#epochs tr")).to_have_count(3)
    made_up(rows(9, at="2026-01-01T00:01:00.000Z"), state="running", progress=0.2)
    expect(page.locator("#epochs tr")).to_have_count(2)
    expect_points(page, "loss", 9, 2)


def test_running(made_up) -> None:
    page = made_up(rows(6), state="running", progress=0.15)
    expect(page.locator("#epoch")).to_have_text("2 of 10")
    expect(page.locator("#step")).to_have_text("6 of 40")
    expect(page.locator("#note")).to_have_text("15 %")
    expect(page.locator("#time")).to_have_text(re.compile(r"^1 min \d+ s$"))
    expect(page.locator("#accuracy")).to_have_text("50.00 %")
    assert page.title().startswith("15 % · Training of seed")
    for name, seen in (("finish", True), ("cancel", True), ("retry", False), ("delete", False)):
        expect(page.locator(f"#{name}")).to_be_visible(visible=seen)


def test_waiting_without_a_worker(made_up, complaints, training_page: Page) -> None:
    complaints.expected = ("503",)
    workers = {"ok": False, "detail": "no worker was seen lately for: train"}
    training_page.route("**/readyz", lambda route: route.fulfill(status=503, json={"checks": {"workers": workers}}))
    page = made_up(state="queued", queue_position=2, progress=0.0, started_at=None, eta_s=None)
    expect(page.locator("#note")).to_have_text("2 trainings in front of it")
    expect(page.locator("#no-worker")).to_contain_text("none is running")
    expect(page.locator("#finish")).to_be_hidden()
    training_page.unroute("**/readyz")
    expect(page.locator("#no-worker")).to_be_hidden()


def test_a_failure_says_what_to_do(made_up) -> None:
    error = {"code": "diverged", "detail": "Training diverged in epoch 2."}
    page = made_up(rows(5), state="failed", done=True, progress=1.0, error=error, eta_s=None)
    expect(page.locator("#state")).to_have_text("Failed")
    expect(page.locator("#note")).to_have_text(
        re.compile(r"^Training diverged in epoch 2\. Choose a smaller learning rate")
    )
    expect(page.locator("#retry")).to_be_visible()
    expect(page.locator("#outcome")).to_be_hidden()


def test_why_it_was_not_promoted(training_page: Page, training_api: Api, trained_job: str, complaints) -> None:
    complaints.expected = ("409",)  # the champion was measured on other images
    training_page.goto(f"/result/{trained_job}")
    expect(training_page.locator("#state")).to_have_text("Done")
    reason = training_api.status(trained_job)["promotion"]["reason"]
    expect(training_page.locator("#promotion")).to_contain_text(reason[1:])
    expect(training_page.locator("#promotion")).to_contain_text("Not promoted")
    training_page.click("text=Compare with the champion")
    expect(training_page.locator("#first")).to_have_value(training_api.champion())
    expect(training_page.locator("#notice")).to_contain_text("cannot be compared")


def test_a_lost_connection_is_said_and_passes(made_up, training_page: Page, complaints) -> None:
    complaints.expected = ("net::",)
    page = made_up(rows(4), state="running", progress=0.1)
    expect(page.locator("#epochs tr")).to_have_count(1)
    training_page.route(re.compile(r"\?wait="), lambda route: route.abort())
    expect(page.locator("#notice")).to_contain_text("The connection was lost.")
    training_page.unroute(re.compile(r"\?wait="))
    made_up(rows(8), state="running", progress=0.2)
    expect(page.locator("#epochs tr")).to_have_count(2)
    expect(page.locator("#notice")).to_be_hidden()


def test_an_outcome_that_could_not_be_read_is_read_again(training_page: Page, trained_job: str, complaints) -> None:
    complaints.expected = ("503",)
    training_page.clock.install()
    training_page.route("**/v1/models/*", lambda route: route.fulfill(status=503, json={"title": "Unavailable"}))
    training_page.goto(f"/result/{trained_job}")
    expect(training_page.locator("#notice")).to_contain_text("This page tries again by itself")
    training_page.unroute("**/v1/models/*")
    training_page.clock.fast_forward(RETRY_MS)
    expect(training_page.locator("#measured")).to_contain_text("of the test images")
    expect(training_page.locator("#notice")).to_be_hidden()


def test_the_chart_library_comes_from_its_wheel(training_api: Api) -> None:
    kept = training_api.ask("GET", "/plotly.min.js", params={"v": "1"})
    assert kept.headers["Content-Type"].startswith("text/javascript")
    assert "max-age=31536000" in kept.headers["Cache-Control"]
    assert kept.text[:40].startswith("/**\n* plotly.js v")
    assert "max-age" not in training_api.ask("GET", "/plotly.min.js").headers["Cache-Control"]
