"""Every page in both themes on a phone and a desktop: pictures for people, and what can be measured of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.kit import SAMPLES, SCREENSHOTS, Api, pictures, watch_console

SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}
#: CSS pixels of the smallest side of something to click (WCAG 2.2, 2.5.8).
TARGET = 24


@pytest.fixture(scope="session")
def mixed_job(api: Api) -> str:
    return api.job([("notes.png", b"only text"), *pictures(70)])


@pytest.fixture(params=[(size, theme) for size in SIZES for theme in ("dark", "light")], ids="-".join)
def look(request, browser: Browser, service, complaints) -> Iterator[tuple[Page, str]]:
    size, theme = request.param
    context = browser.new_context(base_url=service.url, viewport=SIZES[size], color_scheme=theme)
    page = context.new_page()
    watch_console(page, complaints)
    yield page, f"{size}-{theme}"
    context.close()
    assert not complaints


def check(page: Page, name: str) -> None:
    """Save a picture of the page. Nothing of it may stick out sideways or be too small to hit."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # A link that covers its whole row, or stands within a sentence, is no target of its own size.
    small = page.locator("button:visible, .btn:visible, select:visible, nav a:visible").evaluate_all(
        f"""all => all.map((one) => [one.textContent, one.getBoundingClientRect()])
            .filter(([, box]) => Math.min(box.width, box.height) < {TARGET}).map(([text]) => text)"""
    )
    assert not small


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


def test_unknown(look: tuple[Page, str], complaints) -> None:
    complaints.expected = ("404",)
    page, name = look
    page.goto("/result/nothing")
    check(page, f"unknown-{name}")
