"""Every page: layout on phone and desktop, WCAG 2.2 AA in both themes, and keyboard focus."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.kit import SAMPLES, Complaints, Gate, check, check_axe, check_layout


def test_upload(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#welcome")).to_be_visible()
    check(page, "upload")
    page.click("#welcome-close")
    expect(page.locator("#pick-files")).to_be_focused()
    page.reload()
    expect(page.locator("#classifier-choice")).to_be_visible()
    expect(page.locator("#welcome")).to_be_hidden()
    page.click("footer a:text-is('Help')")
    expect(page.locator("#welcome")).to_be_visible()
    page.click("#welcome-close")
    expect(page.locator("#welcome")).to_be_hidden()
    others = [{"name": f"{number}.txt", "mimeType": "text/plain", "buffer": b"text"} for number in range(40)]
    pictures = [{"name": path.name, "mimeType": "image/png", "buffer": path.read_bytes()} for path in SAMPLES]
    page.set_input_files("#files", pictures + others)
    expect(page.locator("#start")).to_be_visible()
    page.click("#left-out summary")
    check(page, "chosen", "#chosen")
    Gate(page, after=0)
    page.click("#start")
    page.click("#pause")
    expect(page.locator("#go-on")).to_be_focused()
    check(page, "sending", "#sending")


def test_result(page: Page, mixed_job: str) -> None:
    page.goto(f"/result/{mixed_job}")
    expect(page.locator(".card-item")).to_have_count(60)
    for folded in ("#failures summary", "#keys summary", "#downloads summary"):
        page.click(folded)
    page.locator(".pick").first.click()
    check(page, "result")
    page.locator("button.thumb").nth(1).click()
    page.locator("#viewer-shares button").first.click()
    expect(page.locator("#viewer-heatmap")).to_be_visible()
    check(page, "viewer", "#viewer")
    page.click("#viewer-close")
    page.click("#delete")
    check(page, "delete", "#confirm")


def test_jobs(page: Page, mixed_job: str) -> None:
    page.goto("/jobs")
    expect(page.locator(f"tr[data-job='{mixed_job}']")).to_be_visible()
    check(page, "jobs")


def test_system(page: Page) -> None:
    page.goto("/system")
    expect(page.locator(".scatterlayer")).to_have_count(1)
    page.click("summary")
    check(page, "system")


def test_unknown_addresses(page: Page, complaints: Complaints) -> None:
    complaints.expected = ("404",)
    for address in ("/models/nothing-20260101-00000000", "/result/nonsense", f"/result/{'0' * 32}"):
        response = page.goto(address)
        assert response and response.status == 404
        expect(page.locator("h1")).to_have_text("Not found")
    check(page, "unknown")
    page.click("main a[href='/jobs']")
    page.wait_for_url("**/jobs")


def test_train(page: Page) -> None:
    page.goto("/train")
    expect(page.locator("#form")).to_be_visible()
    page.click("#rest-title")
    check(page, "train")


def test_training(page: Page, trained_job: str) -> None:
    page.goto(f"/result/{trained_job}")
    expect(page.locator(".scatterlayer")).to_have_count(2)
    expect(page.locator("#measured")).to_be_visible()
    page.click("#epochs-details summary")
    check(page, "training")


def test_models(page: Page, two_versions: tuple[str, str]) -> None:
    page.goto("/models")
    expect(page.locator(f"tr[data-version='{two_versions[0]}']")).to_be_visible()
    check(page, "models")
    page.click(f"tr[data-version='{two_versions[0]}'] button")
    check(page, "promote", "#confirm")


def test_model(page: Page, two_versions: tuple[str, str]) -> None:
    page.goto(f"/models/{two_versions[0]}")
    expect(page.locator(".scatterlayer")).to_have_count(3)
    check(page, "model")


def test_compare(page: Page, two_versions: tuple[str, str]) -> None:
    page.goto(f"/models/compare?versions={','.join(two_versions)}")
    expect(page.locator("#comparison")).to_be_visible()
    check(page, "compare")


#: Whether the focused element, or the card around it, has an outline or Bootstrap's focus shadow.
RING = """() => { const one = document.activeElement;
  if (one === document.body) return true;
  return [one, one.closest(".choice")].some((each) => each && (getComputedStyle(each).outlineStyle !== "none"
    || getComputedStyle(each).boxShadow !== "none")); }"""


PAGES = ("/", "/jobs", "/datasets", "/train", "/models", "/system")


def test_the_keyboard_reaches_every_page_with_a_visible_focus(page: Page) -> None:
    for address in PAGES:
        page.goto(address)
        expect(page.locator("nav[aria-label=Main] [aria-current=page]")).to_have_attribute("href", address)
        page.keyboard.press("Tab")
        expect(page.locator(".skip-link")).to_be_focused()
        expect(page.locator(".skip-link")).to_be_in_viewport()
        for _ in range(12):
            page.keyboard.press("Tab")
            assert page.evaluate(RING), f"{address}: {page.locator(':focus').evaluate('one => one.outerHTML')}"


def test_the_menu_of_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/jobs")
    links, button = page.locator("#nav a"), page.locator(".nav-button")
    expect(links.first).to_be_hidden()
    assert page.locator(".site-header").evaluate("one => one.getBoundingClientRect().height") < 64, "one line"
    button.focus()
    page.keyboard.press("Enter")
    expect(links.last).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # no fades
        expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)
        check_layout(page)
        check_axe(page, ".site-header")
    page.keyboard.press("Escape")
    expect(links.first).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(links.nth(2)).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/datasets")
