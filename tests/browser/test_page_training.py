"""The page of a training."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.kit import SAMPLES, Api, Complaints, number, rounded, wait_until_true

RESULT = re.compile(r"/result/[0-9a-f]{32}$")
#: Milliseconds before the page retries a failed read.
RETRY_MS = 4000


def expect_points(page: Page, chart: str, *counts: int) -> None:
    """Wait until the lines of a chart have these numbers of points."""
    lengths = f"document.querySelector('#chart-{chart}-area').data?.map(({{x}}) => x.length)"
    wait_until_true(page, f"{lengths}?.join() === '{','.join(map(str, counts))}'")


def rows(count: int, per_epoch: int = 4, steps: int = 40, at: str = "2026-01-01T00:00:00.000Z") -> list[dict]:
    """Return `count` made-up metric rows. The last row of each epoch has validation figures."""
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
def made_up(page: Page, api: Api, trained_job: str) -> Callable[..., Page]:
    """Open the page of a training in a made-up state. A later call changes its state and rows."""
    job = api.status(trained_job)
    job |= {"done": False, "finished_at": None, "expires_at": None, "model": None, "promotion": None, "eta_s": 90}
    job["params"] = job["params"] | {"epochs": 10}
    now = {"job": job, "rows": []}

    def metrics(route: Route) -> None:
        after = int(re.search(r"after=(\d+)", route.request.url)[1])
        route.fulfill(json={"data": now["rows"][after:], "next": len(now["rows"])})

    def open_page(rows: list[dict] | None = None, **changes) -> Page:
        now["job"], now["rows"] = job | changes, rows or now["rows"]
        if page.url == "about:blank":
            page.route(re.compile(rf"/v1/jobs/{job['id']}\?wait="), lambda route: route.fulfill(json=now["job"]))
            page.route(re.compile(rf"/v1/jobs/{job['id']}/metrics"), metrics)
            page.goto(f"/result/{job['id']}")
        return page

    return open_page


def test_a_training_on_corrections(page: Page, api: Api) -> None:
    """A training from the form to its model."""
    # Given corrected pictures
    before = api.ask("GET", "/v1/corrections").json()["total"]
    pictures = api.job([(path.name, path.read_bytes()) for path in SAMPLES])
    labels = {item["key"]: item["filename"].partition("-")[0] for item in api.results(pictures)}
    api.ask("POST", f"/v1/jobs/{pictures}/labels", json={"labels": labels})
    # When a training on them is started
    start_form(page)
    offered = page.locator("#field-dataset option").nth(1)
    expect(offered).to_contain_text(f"({max(before, len(SAMPLES))} pictures)")
    page.select_option("#field-dataset", index=1)
    page.fill("#field-epochs", "3")
    page.fill("#field-batch_size", "16")
    page.check("input[name=promote][value=never]")
    page.click("#start")
    page.wait_for_url(RESULT)
    job = page.url.split("/")[-1]
    expect(page.locator("#title")).to_contain_text("seed")
    # Then its curves and table grow without a reload, and it publishes a model
    expect(page.locator("#chart-loss-area .scatterlayer")).to_have_count(1)
    expect_state(page, "succeeded")
    expect(page.locator("#epochs tr")).to_have_count(3)
    expect(page.locator("#epoch")).to_have_text("3 of 3")
    read = api.ask("GET", f"/v1/jobs/{job}/metrics").json()["data"]
    for chart in ("loss", "accuracy"):
        expect_points(page, chart, len(read), 3)
    last = [number(text) for text in page.locator("#epochs tr").last.locator("td").all_text_contents()[2:]]
    assert last == [rounded(read[-1]["val_loss"], 4), rounded(read[-1]["val_accuracy"] * 100, 2)]
    version = api.status(job)["model"]
    accuracy = api.model(version)["metrics"]["accuracy"]
    expect(page.locator("#promotion")).to_contain_text("not promoted")
    expect(page.locator("#corrected")).to_contain_text(re.compile(r"\d+ .*\d+\.\d\d\s%.*champion.* \d+\.\d\d\s%"))
    assert number(page.locator("#measured").text_content()) == rounded(accuracy * 100, 2)
    # The list of jobs shows it, and it can be deleted without its model
    page.goto("/jobs")
    row = page.locator(f"tr[data-job='{job}']")
    expect(row).to_contain_text("3 epochs")
    row.locator("a").click()
    page.click("#delete")
    page.click("#confirm-yes")
    page.wait_for_url("**/jobs")
    expect(row).to_have_count(0)
    # The model's page shows the effect of the corrections
    page.goto(f"/models/{version}")
    expect(page.locator("#corrections dd")).to_have_count(5)
    expect(page.locator("#corrections-champion a")).to_have_text(api.champion())
    # Without the corrections, they are not offered
    api.ask("POST", f"/v1/jobs/{pictures}/labels", json={"labels": dict.fromkeys(labels)})
    start_form(page)
    expect(offered).to_contain_text(f"({before} picture")


def test_cancel_retry_and_finish_early(page: Page, api: Api) -> None:
    before = api.champion()
    start_form(page)
    page.fill("#field-epochs", "1000")
    page.fill("#field-batch_size", "64")
    page.fill("#field-seed", "7")
    page.check("input[name=promote][value=always]")
    with page.expect_request(lambda request: request.method == "POST") as sent:
        page.click("#start")
    assert sent.value.headers["idempotency-key"]
    page.wait_for_url(RESULT)
    job = api.status(page.url.split("/")[-1])
    assert job["kind"] == "training"
    assert (job["params"]["preset"], job["params"]["epochs"], job["params"]["seed"]) == ("seed", 1000, 7)
    expect(page.locator("#params")).to_contain_text("1000")
    # Cancelling and finishing ask for confirmation
    page.click("#cancel")
    page.click("#confirm-no")
    assert not api.status(job["id"])["done"]
    page.click("#cancel")
    page.click("#confirm-yes")
    expect_state(page, "cancelled")
    page.click("#retry")
    expect_state(page, "running")
    expect(page.locator("#epochs tr").nth(1)).to_be_attached()
    page.click("#finish")
    page.click("#confirm-no")
    assert not api.status(job["id"])["done"]
    page.click("#finish")
    page.click("#confirm-yes")
    expect_state(page, "succeeded")
    expect(page.locator("#promotion")).to_contain_text(re.compile("^Promoted"))
    assert api.champion() == api.status(job["id"])["model"]
    expect(page.locator("#outcome-links a")).to_have_count(1)  # without a comparison to itself
    api.promote(before)
    # The draft of the form is deleted
    start_form(page)
    expect(page.locator("#field-epochs")).to_have_value("8")


def start_form(page: Page) -> None:
    """Open the form on preset seed, which trains in seconds on a small dataset."""
    page.goto("/train")
    page.check("input[name=preset][value=seed]")


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("#state")).to_have_attribute("data-state", state)


def test_running(made_up) -> None:
    page = made_up(rows(8), state="running", progress=0.2)
    expect(page.locator("#epoch")).to_have_text("2 of 10")
    expect(page.locator("#step")).to_have_text("8 of 40")
    expect(page.locator("#note")).to_have_text("20 %")
    expect(page.locator("#time")).to_have_text(re.compile(r"^1 min \d+ s$|^\d+ s$"))
    expect(page.locator("#accuracy")).to_have_text("50.00 %")
    assert page.title().startswith("20\u00a0%")
    for name, seen in (("finish", True), ("cancel", True), ("retry", False), ("delete", False)):
        expect(page.locator(f"#{name}")).to_be_visible(visible=seen)
    # The zoom stays while the curves grow
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


def test_rewritten_rows_replace_the_old_ones(made_up) -> None:
    page = made_up(rows(12), state="running", progress=0.3)
    expect(page.locator("#epochs tr")).to_have_count(3)
    made_up(rows(9, at="2026-01-01T00:01:00.000Z"), state="running", progress=0.2)
    expect(page.locator("#epochs tr")).to_have_count(2)
    expect_points(page, "loss", 9, 2)


def test_waiting_without_a_worker(made_up, complaints, page: Page) -> None:
    complaints.expected = ("503",)
    workers = {"ok": False, "detail": "no worker was seen lately for: train"}
    page.route("**/readyz", lambda route: route.fulfill(status=503, json={"checks": {"workers": workers}}))
    page = made_up(state="queued", queue_position=2, progress=0.0, started_at=None, eta_s=None)
    expect(page.locator("#note")).to_contain_text("2 trainings")
    expect(page.locator("#no-worker")).to_be_visible()
    expect(page.locator("#finish")).to_be_hidden()
    page.unroute("**/readyz")
    expect(page.locator("#no-worker")).to_be_hidden()


def test_a_failed_training_says_what_to_do(made_up) -> None:
    error = {"code": "diverged", "detail": "Training diverged in epoch 2."}
    page = made_up(rows(5), state="failed", done=True, progress=1.0, error=error, eta_s=None)
    expect_state(page, "failed")
    expect(page.locator("#note")).to_contain_text(re.compile(r"diverged in epoch 2\. .*learning rate"))
    expect(page.locator("#retry")).to_be_visible()
    expect(page.locator("#outcome")).to_be_hidden()


def test_the_reason_for_no_promotion(page: Page, api: Api, trained_job: str, complaints) -> None:
    complaints.expected = ("409",)  # the champion was measured on other images
    page.goto(f"/result/{trained_job}")
    expect_state(page, "succeeded")
    reason = api.status(trained_job)["promotion"]["reason"]
    expect(page.locator("#promotion")).to_contain_text(reason[1:])
    expect(page.locator("#promotion")).to_contain_text("Not promoted")
    page.click("#outcome-links a >> nth=1")
    expect(page.locator("#first")).to_have_value(api.champion())
    expect(page.locator("#notice")).to_contain_text("cannot be compared")


def test_a_lost_connection(made_up, page: Page, complaints: Complaints) -> None:
    complaints.expected = ("net::",)
    page = made_up(rows(4), state="running", progress=0.1)
    expect(page.locator("#epochs tr")).to_have_count(1)
    page.route(re.compile(r"\?wait="), lambda route: route.abort())
    expect(page.locator("#notice")).to_be_visible()
    page.unroute(re.compile(r"\?wait="))
    made_up(rows(8), state="running", progress=0.2)
    expect(page.locator("#epochs tr")).to_have_count(2)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_failed_read_of_the_outcome_is_retried(page: Page, trained_job: str, complaints) -> None:
    complaints.expected = ("503",)
    page.clock.install()
    page.route("**/v1/models/*", lambda route: route.fulfill(status=503, json={"title": "Unavailable"}))
    page.goto(f"/result/{trained_job}")
    expect(page.locator("#notice")).to_be_visible()
    page.unroute("**/v1/models/*")
    page.clock.fast_forward(RETRY_MS)
    expect(page.locator("#measured")).to_contain_text("%")
    expect(page.locator("#notice")).to_be_hidden()


def test_the_chart_library_comes_from_its_wheel(api: Api) -> None:
    kept = api.ask("GET", "/plotly.min.js", params={"v": "1"})
    assert kept.headers["Content-Type"].startswith("text/javascript")
    assert "max-age=31536000" in kept.headers["Cache-Control"]
    assert kept.text[:40].startswith("/**\n* plotly.js v")
    assert "max-age" not in api.ask("GET", "/plotly.min.js").headers["Cache-Control"]
