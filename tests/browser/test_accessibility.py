"""Every page by axe, for WCAG 2.2 AA in both themes and on a phone, and what axe cannot see: keyboard and motion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.kit import PATIENCE_MS, SAMPLES, SIZES, Gate

AXE = Axe()
#: All rules of WCAG up to 2.2 AA. axe runs as the debugger's own code, which the page's policy does not concern.
RULES = {
    "resultTypes": ["violations"],
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "rules": {"target-size": {"enabled": True}},
}
#: Size and theme, in the order in which a page is changed: colours depend on the theme alone, the layout on the size.
LOOKS = (("desktop", "dark"), ("desktop", "light"), ("phone", "light"))


@pytest.fixture
def still_page(browser: Browser, service) -> Iterator[Page]:
    yield from still(browser, service.url)


@pytest.fixture
def still_training_page(browser: Browser, training_service) -> Iterator[Page]:
    yield from still(browser, training_service.url)


def still(browser: Browser, url: str) -> Iterator[Page]:
    """A page for somebody who asked for less motion: nothing is half faded in when axe measures contrast."""
    context = browser.new_context(base_url=url, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def check(page: Page) -> None:
    """Fail with what axe finds in any look of the page as it stands."""
    for size, theme in LOOKS:
        page.set_viewport_size(SIZES[size])
        page.emulate_media(color_scheme=theme)
        expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
        found = AXE.run(page, options=RULES)
        assert not found.violations_count, f"{page.url} {size} {theme}\n{found.generate_report()}"
    assert not page.evaluate("document.getAnimations().length")


def test_upload(still_page: Page) -> None:
    still_page.goto("/")
    check(still_page)
    others = [{"name": f"{number}.txt", "mimeType": "text/plain", "buffer": b"text"} for number in range(40)]
    pictures = [{"name": path.name, "mimeType": "image/png", "buffer": path.read_bytes()} for path in SAMPLES]
    still_page.set_input_files("#files", pictures + others)
    expect(still_page.locator("#start")).to_be_visible()
    still_page.click("#left-out summary")
    check(still_page)
    Gate(still_page, after=0)
    still_page.click("#start")
    still_page.click("#pause")
    check(still_page)


def test_result(still_page: Page, mixed_job: str) -> None:
    still_page.goto(f"/result/{mixed_job}")
    expect(still_page.locator(".card-item")).to_have_count(60)
    check(still_page)
    still_page.click("#delete")
    check(still_page)


def test_jobs(still_page: Page, mixed_job: str) -> None:
    still_page.goto("/jobs")
    expect(still_page.locator(f"tr[data-job='{mixed_job}']")).to_be_visible()
    check(still_page)


def test_system(still_page: Page) -> None:
    still_page.goto("/system")
    expect(still_page.locator(".scatterlayer")).to_have_count(1)
    still_page.click("summary")
    check(still_page)


def test_unknown(still_page: Page) -> None:
    still_page.goto("/result/nothing")
    check(still_page)


def test_train(still_training_page: Page) -> None:
    still_training_page.goto("/train")
    expect(still_training_page.locator("#form")).to_be_visible()
    still_training_page.click("#rest-title")
    check(still_training_page)


def test_training(still_training_page: Page, trained_job: str) -> None:
    still_training_page.goto(f"/result/{trained_job}")
    expect(still_training_page.locator(".scatterlayer")).to_have_count(2)
    expect(still_training_page.locator("#measured")).to_be_visible()
    still_training_page.click("#epochs-details summary")
    check(still_training_page)


def test_models(still_training_page: Page, two_versions: tuple[str, str]) -> None:
    still_training_page.goto("/models")
    expect(still_training_page.locator(f"tr[data-version='{two_versions[0]}']")).to_be_visible()
    check(still_training_page)
    still_training_page.click(f"tr[data-version='{two_versions[0]}'] >> text=Promote")
    check(still_training_page)


def test_model(still_training_page: Page, two_versions: tuple[str, str]) -> None:
    still_training_page.goto(f"/models/{two_versions[0]}")
    expect(still_training_page.locator(".scatterlayer")).to_have_count(3)
    check(still_training_page)


def test_compare(still_training_page: Page, two_versions: tuple[str, str]) -> None:
    still_training_page.goto(f"/models/compare?versions={','.join(two_versions)}")
    expect(still_training_page.locator("#comparison")).to_be_visible()
    check(still_training_page)


PAGES = ("/", "/jobs", "/train", "/models", "/system")


def test_every_page_is_reached_by_the_keyboard_with_the_focus_in_sight(still_training_page: Page) -> None:
    """The skip link first, then the navigation with the page that it is on marked, and never a focus without a ring."""
    page = still_training_page
    for address in PAGES:
        page.goto(address)
        expect(page.locator("nav[aria-label=Main] [aria-current=page]")).to_have_attribute("href", address)
        page.keyboard.press("Tab")
        expect(page.locator(":focus")).to_have_text("Skip to the content")
        expect(page.locator(":focus")).to_be_in_viewport()
        for _ in range(12):
            page.keyboard.press("Tab")
            assert page.evaluate(RING), f"{address}: {page.locator(':focus').evaluate('one => one.outerHTML')}"


#: Whether whatever has the focus, or the card around it, is outlined. A select and a text field have Bootstrap's glow.
RING = """() => { const one = document.activeElement;
  if (one === document.body) return true;
  return [one, one.closest(".choice")].some((each) => each && (getComputedStyle(each).outlineStyle !== "none"
    || getComputedStyle(each).boxShadow !== "none")); }"""
