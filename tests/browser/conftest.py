"""Fixtures: a real browser in front of the running service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from shared.domain.card import MODEL_FILE, OPENVINO_FILE, TRUTH_FILE
from shared.models.versions import PREFIX
from shared.services import Services
from tests.browser.kit import PATIENCE_MS, Api, Complaints, pictures, watch_console
from tests.programs import chromium
from tests.proxies_kit import HOST
from tests.versions_kit import measured, services_of, version_folder

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",  # a camera that shows a moving picture
    "--use-fake-ui-for-media-stream",  # which pages may use
    f"--host-resolver-rules=MAP {HOST} 127.0.0.1",  # the host behind a proxy
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        except Error as error:  # this machine has none, and Playwright has not downloaded its own, or lacks libraries
            pytest.skip(f"needs chromium-headless-shell: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def page(browser: Browser, service, complaints: Complaints) -> Iterator[Page]:
    """A page in a new context. A console error, such as a violation of the content security policy, fails the test."""
    yield from opened(browser, service.url, complaints)


def opened(browser: Browser, url: str, complaints: Complaints, any_certificate: bool = False) -> Iterator[Page]:
    size = {"width": 1280, "height": 800}
    # What turns without end would be drawn all the time.
    context = browser.new_context(
        base_url=url, viewport=size, reduced_motion="reduce", ignore_https_errors=any_certificate
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    watch_console(page, complaints)
    yield page
    context.close()
    assert not complaints


@pytest.fixture(scope="session")
def api(service) -> Iterator[Api]:
    with contextlib.closing(Api(service.url)) as api:
        yield api


@pytest.fixture(scope="session")
def mixed_job(api: Api) -> str:
    """A finished job with more pictures than one page shows, and one file that is not an image."""
    return api.job([("notes.png", b"only text"), *pictures(70)])


@pytest.fixture(scope="package")
def parts(service) -> Iterator[Services]:
    """The service's parts. Versions are deleted after the last browser test."""
    with services_of(service) as parts:
        yield parts


@pytest.fixture(scope="package")
def trained_job(api: Api, parts: Services) -> str:  # noqa: ARG001 - deletes the version
    """A finished training of two epochs. Its version was not promoted."""
    job = api.training(epochs=2, batch_size=64, promote="if_better")
    api.finished(job)
    return job


@pytest.fixture(scope="package")
def two_versions(api: Api, service, parts: Services, trained_job: str, tmp_path_factory) -> tuple[str, str]:
    """Two versions measured on the same test images: a trained one, and its copy, which is wrong about every second.

    The champion is the shipped one.
    """
    trained = api.status(trained_job)["model"]
    files = {path.name: path.read_bytes() for path in (service.data_dir / "blobs" / PREFIX / trained).iterdir()}
    card, networks = api.model(trained), (files[MODEL_FILE], files[OPENVINO_FILE])
    measures = {"dataset": card["dataset"], "metrics": card["metrics"] | {"accuracy": 0.5}}
    folder = version_folder(tmp_path_factory.mktemp("copy"), *networks, **measures)
    truth = files[TRUTH_FILE]
    measured(folder, bytes((label + place % 2) % 10 for place, label in enumerate(truth)), truth)
    return trained, parts.registry.publish(folder).version
