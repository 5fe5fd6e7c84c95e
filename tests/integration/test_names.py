"""File names are data: any name is accepted and stored without harmful characters."""

from __future__ import annotations

import json

import pytest

from tests.fixtures import odd
from tests.integration.helpers import (
    MULTIPART,
    finished,
    multipart,
    nothing_left,
    outcomes,
    png,
    problem,
    results,
    submit,
    tar_of,
    traces,
)


def check(name: str) -> None:
    assert 0 < len(name) <= 255 and name == name.strip()
    assert not any(mark in name for mark in "\n\r\0\x07\x1b\u202e")


def test_hostile_names_in_multipart(service, http):
    """Return hostile and outdated names, each with the same picture."""
    before = traces(service)["blobs"]
    job_id = submit(http, *((name, png(number)) for number, name in enumerate(odd.HOSTILE_NAMES)))
    assert finished(http, job_id)["counts"]["succeeded"] == len(odd.HOSTILE_NAMES)
    for item in results(http, job_id):
        check(item["filename"])
        assert http.get(f"/v1/jobs/{job_id}/items/{item['id']}/image").status_code == 200
    assert all(path.startswith("jobs/") for path in traces(service)["blobs"] - before)


def test_names_are_quoted_in_csv_and_escaped_in_json(http):
    """Excel reads a CSV as UTF-8 only if it begins with a byte order mark."""
    job_id = submit(http, ("猫.png", png()), ("=cmd|' /C calc'!A0.png", png()), ('q",x\n.png', png()))
    finished(http, job_id)
    text = http.get(f"/v1/jobs/{job_id}/results.csv").text
    assert len(text.splitlines()) == 4
    assert "'=cmd" in text and ',"q%22,x .png",' not in text
    assert http.get(f"/v1/jobs/{job_id}/results.csv?excel=1").content == b"\xef\xbb\xbf" + text.encode()
    problem(http.get(f"/v1/jobs/{job_id}/results.csv?excel=yes"), 422)
    assert [json.loads(line) for line in http.get(f"/v1/jobs/{job_id}/results.ndjson").text.splitlines()]


@pytest.mark.parametrize(
    ("parameters", "kept"),
    [
        (b"filename*=UTF-8''caf%C3%A9.png", "café.png"),
        ('filename="猫.png"'.encode(), "猫.png"),
        ('filename="a\u202egnp.exe"'.encode(), "agnp.exe"),
        (b"filename*=UTF-8''%FF%ED%A0%80.png", None),
        (b'filename="a\\"b.png"', None),
        (b'filename="\t \t"', "unnamed"),
        (b'filename="' + b"n" * 4000 + b'.png"', "n" * 251 + ".png"),
        (b"filename=bare.png", "bare.png"),
        (b'filename="caf\xe9.png"', "café.png"),
    ],
)
def test_ways_to_write_a_name(http, parameters, kept):
    body = multipart((b'name="files"; ' + parameters, png()))
    answer = http.post("/v1/jobs", content=body, headers={"Content-Type": MULTIPART})
    assert answer.status_code == 202, answer.text
    finished(http, answer.json()["id"])
    (item,) = results(http, answer.json()["id"])
    check(item["filename"])
    assert kept in (None, item["filename"])


def test_two_files_of_one_name_are_two_items(http):
    job_id = submit(http, ("same.png", png(1)), ("same.png", png(2)), ("same.png", png(2)))
    assert finished(http, job_id)["counts"]["succeeded"] == 3
    items = results(http, job_id)
    assert {item["filename"] for item in items} == {"same.png"} and len({item["id"] for item in items}) == 3


def test_names_in_a_tar_that_are_not_utf8(http):
    found = outcomes(http, ("a.tar", tar_of(("caf\udce9.png", png()), ("b.png", png(1)))))
    assert found == {"café.png": "succeeded", "b.png": "succeeded"}


def test_nothing_is_written_under_a_name_of_a_file(service, http):
    with nothing_left(service):
        job_id = submit(http, ("../../../../../tmp/darkroom-escape.png", png()))
        finished(http, job_id)
        (stored,) = (path for path in traces(service)["blobs"] if job_id in path)
        assert stored.split("/")[:2] == ["jobs", job_id] and len(stored.split("/")[2]) == 64
        http.delete(f"/v1/jobs/{job_id}")
