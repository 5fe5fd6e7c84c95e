"""Limits, on a web server with small ones: 413 for a request, a failed item for a file."""

from __future__ import annotations

import gzip
import random

import httpx
import pytest

from tests.fixtures import make
from tests.integration.helpers import (
    MULTIPART,
    TAR_END,
    exchange,
    files,
    finished,
    head,
    multipart,
    nothing_left,
    open_job,
    outcomes,
    png,
    problem,
    put,
    results,
    submit,
    tar_entry,
    tar_of,
    zip_of,
)
from tests.proxies_kit import with_settings

MAX_ITEMS, MAX_FILE, MAX_REQUEST, MAX_PIXELS = 50, 100_000, 1_000_000, 1_000_000
PAYLOAD = random.Random(1).randbytes(MAX_FILE + 1)
BIG = png() + PAYLOAD


@pytest.fixture(scope="module")
def small(service, tmp_path_factory):
    """Run the service with small limits."""
    limits = {"max_items": MAX_ITEMS, "max_file_bytes": MAX_FILE, "max_request_bytes": MAX_REQUEST}
    settings = {name: str(value) for name, value in {**limits, "max_pixels": MAX_PIXELS, "web_processes": 1}.items()}
    with with_settings(service, tmp_path_factory.mktemp("small"), **settings) as small:
        yield small


@pytest.fixture
def http(small):
    with small.client() as client:
        yield client


def test_file_over_the_limit(small, http):
    with nothing_left(small):
        for answer in (
            http.post("/v1/jobs", files=files(("big.png", BIG))),
            http.post("/v1/jobs", content=BIG, headers={"Content-Type": "image/png"}),
            http.post("/v1/jobs", content=iter([BIG[:5000], BIG[5000:]]), headers={"Content-Type": "image/png"}),
        ):
            assert problem(answer, 413)["code"] == "file_too_large"
    assert outcomes(http, ("big.png", BIG), ("good.png", png())) == {
        "big.png": "file_too_large",
        "good.png": "succeeded",
    }
    job_id = open_job(http)
    assert problem(put(http, job_id, "big", BIG), 413)["code"] == "file_too_large"
    exact = png() + PAYLOAD[: MAX_FILE - len(png())]
    assert put(http, job_id, "exact", exact).status_code == 201


def test_entry_over_the_limit(http):
    for name, archive in (("a.zip", zip_of(("big.png", BIG), ("good.png", png()))),
                          ("a.tar", tar_of(("big.png", BIG), ("good.png", png())))):  # fmt: skip
        assert outcomes(http, (name, archive)) == {"big.png": "file_too_large", "good.png": "succeeded"}


def test_pixels_over_the_limit(http):
    picture = make.encode(make.pixels(1001, 1000), "JPEG", quality=20)
    assert outcomes(http, ("wide.jpg", picture), ("good.png", png())) == {
        "wide.jpg": "too_many_pixels",
        "good.png": "succeeded",
    }


@pytest.mark.parametrize("kind", [MULTIPART, "image/png", "application/zip", "application/json"])
def test_request_over_the_limit_by_its_length(small, kind):
    """The head is enough to reject it: the body need not be sent."""
    with nothing_left(small):
        problem(exchange(small, head(MAX_REQUEST + 1, kind)), 413)


def test_request_over_the_limit_in_chunks(small, http):
    pieces = [multipart((b'name="files"; filename="a.png"', png() + PAYLOAD[:50_000]), end=False)] * 25
    with nothing_left(small):
        problem(http.post("/v1/jobs", content=iter(pieces), headers={"Content-Type": MULTIPART}), 413)


def test_request_over_the_limit_from_a_client_that_reads_only_at_the_end(small):
    """The client sends everything before it reads, and still gets the response."""
    body = multipart((b'name="files"; filename="a.png"', PAYLOAD * 20))
    with nothing_left(small):
        problem(httpx.post(f"{small.url}/v1/jobs", content=body, headers={"Content-Type": MULTIPART}), 413)


@pytest.mark.parametrize("number", [MAX_ITEMS + 1, 300])
def test_too_many_files(small, http, number):
    many = [(f"{n}.png", png()) for n in range(number)]
    with nothing_left(small):
        for answer in (
            http.post("/v1/jobs", files=files(*many)),
            http.post("/v1/jobs", files=files(("a.zip", zip_of(*many)))),
            http.post("/v1/jobs", files=files(("a.tar.gz", gzip.compress(tar_of(*many))))),
            http.post(
                "/v1/jobs",
                files=files(
                    *many[:40],
                    (
                        "a.zip",
                        zip_of(*many[40:]),
                    ),
                ),
            ),
        ):
            problem(answer, 413)


def test_as_many_files_as_are_allowed(http):
    many = [(f"f/{n}.png", png()) for n in range(MAX_ITEMS)]
    for archive in (zip_of(("f/", b""), *many), gzip.compress(tar_entry(b"f/", 0, b"5") + tar_of(*many))):
        job_id = submit(http, ("a", archive))
        assert finished(http, job_id)["counts"]["succeeded"] == MAX_ITEMS


def test_open_job_that_is_full(http):
    job_id = open_job(http)
    many = files(*((f"{n}.png", png(n)) for n in range(MAX_ITEMS)))
    assert http.post(f"/v1/jobs/{job_id}/items", files=many).status_code == 200
    problem(put(http, job_id, "one-more", png()), 409)
    (entry,) = http.post(f"/v1/jobs/{job_id}/items", files=many[:1]).json()["data"]
    assert entry["error"]["code"] == "job_full"
    assert http.get(f"/v1/jobs/{job_id}").json()["counts"]["total"] == MAX_ITEMS


def bombs():
    zeros = bytes(200_000)  # below the size from which the ratio counts
    yield "total of a zip", zip_of(*((f"{n}.bmp", zeros) for n in range(20)))
    yield "total of a tar.gz", gzip.compress(tar_of(*((f"{n}.bmp", zeros) for n in range(20))))
    yield "system files of a tar.gz", gzip.compress(tar_of(*((f"__MACOSX/{n}", zeros) for n in range(20))))
    yield "claimed size", gzip.compress(tar_entry(b"big.bmp", 2**50) + bytes(3000))
    yield "folders of a tar.gz", gzip.compress(b"".join(tar_entry(b"d/%d/" % n, 0, b"5") for n in range(500)) + TAR_END)
    yield "folders of a zip", zip_of(*((f"d/{n}/", b"") for n in range(500)))


@pytest.mark.parametrize("bomb", [pytest.param(bomb, id=name) for name, bomb in bombs()])
def test_archive_that_unpacks_to_too_much(small, http, bomb):
    assert len(bomb) < MAX_REQUEST / 5
    with nothing_left(small):
        problem(http.post("/v1/jobs", files=files(("a.zip", bomb))), 413)
        problem(http.post("/v1/jobs", files=files(("good.png", png()), ("a.zip", bomb))), 413)


def test_link_of_negative_size_gives_no_credit(small, http):
    """Given a link with a negative size, then the entries after it are still counted."""
    bomb = gzip.compress(
        tar_entry(b"link", -(2**40), b"2") + tar_of(*((f"{n}.bmp", bytes(200_000)) for n in range(20)))
    )
    with nothing_left(small):
        problem(http.post("/v1/jobs", files=files(("a.tar.gz", bomb))), 413, 422)


def test_budget_is_shared_by_the_archives_of_a_request(small, http):
    archive = zip_of(*((f"{n}.bmp", bytes(90_000)) for n in range(4)))
    assert "unsupported_format" in outcomes(http, ("a.zip", archive), ("b.zip", archive)).values()
    with nothing_left(small):
        problem(http.post("/v1/jobs", files=files(*((f"{n}.zip", archive) for n in range(4)))), 413)


def test_results_of_what_was_too_long_still_say_how_long(http):
    job_id = submit(http, ("big.png", BIG), ("good.png", png()))
    finished(http, job_id)
    sizes = {item["filename"]: item["bytes"] for item in results(http, job_id)}
    assert sizes == {"big.png": len(BIG), "good.png": len(png())}
