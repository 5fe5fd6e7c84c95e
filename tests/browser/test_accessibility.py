"""Every page by axe, for WCAG 2.2 AA in both themes and on a phone, and what axe cannot see: keyboard and motion."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.kit import SAMPLES, Complaints, Gate, check_accessible


def test_upload(page: Page) -> None:
    page.goto("/")
    check_accessible(page)
    others = [{"name": f"{number}.txt", "mimeType": "text/plain", "buffer": b"text"} for number in range(40)]
    pictures = [{"name": path.name, "mimeType": "image/png", "buffer": path.read_bytes()} for path in SAMPLES]
    page.set_input_files("#files", pictures + others)
    expect(page.locator("#start")).to_be_visible()
    page.click("#left-out summary")
    check_accessible(page)
    Gate(page, after=0)
    page.click("#start")
    expect(page.locator("#sending")).to_be_visible()
    page.click("#pause")
    check_accessible(page)


def test_result(page: Page, mixed_job: str) -> None:
    page.goto(f"/result/{mixed_job}")
    expect(page.locator(".card-item")).to_have_count(60)
    for folded in ("#failures summary", "#keys summary", "#downloads summary"):
        page.click(folded)
    page.locator(".pick").first.click()
    check_accessible(page)
    page.locator("button.thumb").nth(1).click()
    check_accessible(page)
    page.click("#viewer-close")
    page.click("#delete")
    check_accessible(page)


def test_jobs(page: Page, mixed_job: str) -> None:
    page.goto("/jobs")
    expect(page.locator(f"tr[data-job='{mixed_job}']")).to_be_visible()
    check_accessible(page)


def test_system(page: Page) -> None:
    page.goto("/system")
    expect(page.locator(".scatterlayer")).to_have_count(1)
    page.click("summary")
    check_accessible(page)


def test_unknown(page: Page, complaints: Complaints) -> None:
    complaints.expected = ("404",)
    page.goto("/result/nothing")
    check_accessible(page)


def test_train(training_page: Page) -> None:
    training_page.goto("/train")
    expect(training_page.locator("#form")).to_be_visible()
    training_page.click("#rest-title")
    check_accessible(training_page)


def test_training(training_page: Page, trained_job: str) -> None:
    training_page.goto(f"/result/{trained_job}")
    expect(training_page.locator(".scatterlayer")).to_have_count(2)
    expect(training_page.locator("#measured")).to_be_visible()
    training_page.click("#epochs-details summary")
    check_accessible(training_page)


def test_models(training_page: Page, two_versions: tuple[str, str]) -> None:
    training_page.goto("/models")
    expect(training_page.locator(f"tr[data-version='{two_versions[0]}']")).to_be_visible()
    check_accessible(training_page)
    training_page.click(f"tr[data-version='{two_versions[0]}'] >> text=Promote")
    check_accessible(training_page)


def test_model(training_page: Page, two_versions: tuple[str, str]) -> None:
    training_page.goto(f"/models/{two_versions[0]}")
    expect(training_page.locator(".scatterlayer")).to_have_count(3)
    check_accessible(training_page)


def test_compare(training_page: Page, two_versions: tuple[str, str]) -> None:
    training_page.goto(f"/models/compare?versions={','.join(two_versions)}")
    expect(training_page.locator("#comparison")).to_be_visible()
    check_accessible(training_page)


PAGES = ("/", "/jobs", "/train", "/models", "/system")


def test_every_page_is_reached_by_the_keyboard_with_the_focus_in_sight(training_page: Page) -> None:
    """The skip link first, then the navigation with the page that it is on marked, and never a focus without a ring."""
    page = training_page
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
