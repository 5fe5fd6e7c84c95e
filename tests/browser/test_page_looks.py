"""Every page on a phone and a desktop, light and dark: pictures for people, and what can be measured of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.kit import PATIENCE_MS, SAMPLES, SIZES, Gate, check, watch_console


@pytest.fixture
def look(browser: Browser, service, complaints, size_and_theme: tuple[str, str]) -> Iterator[tuple[Page, str]]:
    yield from looking(browser, service.url, complaints, size_and_theme)


@pytest.fixture
def training_look(browser: Browser, training_service, complaints, size_and_theme) -> Iterator[tuple[Page, str]]:
    yield from looking(browser, training_service.url, complaints, size_and_theme)


@pytest.fixture(params=[("phone", "light"), ("desktop", "dark")], ids="-".join)
def size_and_theme(request) -> tuple[str, str]:
    return request.param


def looking(browser: Browser, url: str, complaints, size_and_theme: tuple[str, str]) -> Iterator[tuple[Page, str]]:
    size, theme = size_and_theme
    context = browser.new_context(base_url=url, viewport=SIZES[size], color_scheme=theme)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    watch_console(page, complaints)
    yield page, f"{size}-{theme}"
    context.close()
    assert not complaints


def test_upload(look: tuple[Page, str], tmp_path) -> None:
    page, name = look
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", name.split("-")[1])
    check(page, f"upload-{name}")
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    page.set_input_files("#files", [*map(str, SAMPLES), str(text)])
    expect(page.locator("#start")).to_be_visible()
    check(page, f"chosen-{name}")
    Gate(page, after=0)
    page.click("#start")
    check(page, f"sending-{name}")
    page.click("#pause")
    check(page, f"paused-{name}")


def test_result(look: tuple[Page, str], mixed_job: str) -> None:
    page, name = look
    page.goto(f"/result/{mixed_job}")
    expect(page.locator(".card-item")).to_have_count(60)
    check(page, f"result-{name}")
    page.click("#delete")
    check(page, f"delete-{name}")


def test_jobs(look: tuple[Page, str], mixed_job: str) -> None:
    page, name = look
    page.goto("/jobs")
    expect(page.locator(f"tr[data-job='{mixed_job}']")).to_be_visible()
    check(page, f"jobs-{name}")


def test_system(look: tuple[Page, str]) -> None:
    page, name = look
    page.goto("/system")
    expect(page.locator(".scatterlayer")).to_have_count(1)
    check(page, f"system-{name}")


def test_unknown(look: tuple[Page, str], complaints) -> None:
    complaints.expected = ("404",)
    page, name = look
    page.goto("/result/nothing")
    expect(page.locator("h1")).to_be_visible()
    check(page, f"unknown-{name}")


def test_train(training_look: tuple[Page, str]) -> None:
    page, name = training_look
    page.goto("/train")
    expect(page.locator("#form")).to_be_visible()
    page.click("#rest-title")
    check(page, f"train-{name}")


def test_training(training_look: tuple[Page, str], trained_job: str) -> None:
    page, name = training_look
    page.goto(f"/result/{trained_job}")
    expect(page.locator(".scatterlayer")).to_have_count(2)
    expect(page.locator("#measured")).to_be_visible()
    page.click("#epochs-details summary")
    check(page, f"training-{name}")


def test_models(training_look: tuple[Page, str], two_versions: tuple[str, str]) -> None:
    page, name = training_look
    page.goto("/models")
    expect(page.locator(f"tr[data-version='{two_versions[0]}']")).to_be_visible()
    check(page, f"models-{name}")
    page.click(f"tr[data-version='{two_versions[0]}'] >> text=Promote")
    check(page, f"promote-{name}")


def test_model(training_look: tuple[Page, str], two_versions: tuple[str, str]) -> None:
    page, name = training_look
    page.goto(f"/models/{two_versions[0]}")
    expect(page.locator(".scatterlayer")).to_have_count(3)
    check(page, f"model-{name}")


def test_compare(training_look: tuple[Page, str], two_versions: tuple[str, str]) -> None:
    page, name = training_look
    page.goto(f"/models/compare?versions={','.join(two_versions)}")
    expect(page.locator("#comparison")).to_be_visible()
    check(page, f"compare-{name}")
