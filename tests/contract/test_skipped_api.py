"""What is in archives beside pictures: skipped and listed, not failed. Names that say no encoding. Hard links."""

from __future__ import annotations

import gzip

import pytest

from tests.fixtures.archives import raw_zip, tar_with
from tests.integration.helpers import files, finished, open_job, outcome, png, problem, results, submit, zip_of

JUNK = ["album/@eaDir/cat.png/SYNOPHOTO_THUMB_XL.png", "album/.picasa.ini", "album/thumbs.db", "__MACOSX/._cat.png"]


def test_junk_is_skipped_counted_and_listed(http):
    album = zip_of(*((name, png()) for name in JUNK), ("album/cat.png.json", b"{}"), ("album/cat.png", png()))
    icon = zip_of(("Icon\r", b""), ("._a.png", png()), ("picture.json", png(1)), ("text.txt", b"-"))
    job_id = submit(http, ("album.zip", album), ("icon.zip", icon), ("notes.json", b"{}"))
    job = finished(http, job_id)
    assert job["skipped"] == 7 and job["guessed_encodings"] == []
    assert {item["filename"]: outcome(item) for item in results(http, job_id)} == {
        "album/cat.png": "succeeded", "picture.json": "succeeded", "text.txt": "unsupported_format",
        "notes.json": "unsupported_format",
    }  # fmt: skip
    listed, after = [], {}
    while after is not None:
        page = http.get(f"/v1/jobs/{job_id}/skipped", params={"limit": 3, **after}).json()
        listed += [(entry["archive"], entry["filename"]) for entry in page["data"]]
        after = {"after": page["next"]} if page["next"] else None
    assert listed == [("album.zip", name) for name in [*JUNK, "album/cat.png.json"]] + [
        ("icon.zip", "Icon"), ("icon.zip", "._a.png"),
    ]  # fmt: skip
    http.delete(f"/v1/jobs/{job_id}")
    problem(http.get(f"/v1/jobs/{job_id}/skipped"), 404)


def test_an_archive_with_junk_only_says_so(http):
    archive = files(("a.zip", zip_of(("__MACOSX/._a", b"x"), (".DS_Store", b"x"))))
    assert "2 files" in problem(http.post("/v1/jobs", files=archive), 422)["detail"]
    assert "2 files" in problem(http.post(f"/v1/jobs/{open_job(http)}/items", files=archive), 422)["detail"]


def test_encodings_of_names(http):
    """A repeat under the same key records nothing twice."""
    japanese, german = raw_zip(("写真/猫.png".encode("cp932"), png())), raw_zip(("Größe.png".encode("cp850"), png(1)))
    job_id, junk = open_job(http), zip_of(("desktop.ini", b"-"), ("a.png", png(2)))
    for _ in range(2):
        for name, archive in (("ja.zip", japanese), ("de.zip", german)):
            for number, part in enumerate((files((name, junk)), files((name, archive)))):
                header = {"Idempotency-Key": f"{job_id}-{name}-{number}"}
                assert http.post(f"/v1/jobs/{job_id}/items", files=part, headers=header).status_code == 200
    http.post(f"/v1/jobs/{job_id}/seal")
    job = finished(http, job_id)
    assert (job["guessed_encodings"], job["skipped"], job["counts"]["total"]) == (["cp932", "cp850"], 2, 4)
    assert {item["filename"] for item in results(http, job_id)} == {"写真/猫.png", "Größe.png", "a.png"}

    greek = raw_zip(("Φως.png".encode("cp737"), png()))
    answer = http.post("/v1/jobs?names=cp737", content=greek, headers={"Content-Type": "application/zip"})
    job = finished(http, answer.json()["id"])
    assert job["guessed_encodings"] == []
    assert [item["filename"] for item in results(http, job["id"])] == ["Φως.png"]
    for wrong in ("utf-16", "odd", ""):
        assert problem(http.post(f"/v1/jobs?names={wrong}", files=files(("a.zip", greek))), 422)["errors"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["tar", "tar.gz"])
def test_a_hard_link_is_the_file_that_it_points_to(http, compress):
    """Before or after it, in a chain, or to nothing; two names that look the same stay two."""
    archive = tar_with(
        ("first", "./later.png"), ("cat.png", png()), ("copy.png", "cat.png"), ("copy2.png", "./copy.png"),
        ("chain", "chain2"), ("chain2", "later.png"), ("later.png", png(1)), ("lost", "gone.png"), ("self", "self"),
        ("ring", "ring2"), ("ring2", "ring"), ("text", b"-"), ("text2", "text"), ("../up", "cat.png"),
        ("M\udcfcller.png", png(2)), ("Müller.png", png(3)),
    )  # fmt: skip
    job_id = submit(http, ("a.tar", compress(archive)))
    finished(http, job_id)
    found = {item["filename"]: item for item in results(http, job_id)}
    assert {name: outcome(item) for name, item in found.items()} == {
        **dict.fromkeys(["first", "cat.png", "copy.png", "copy2.png", "chain", "chain2", "later.png"], "succeeded"),
        **dict.fromkeys(["Müller.png", "Müller (2).png"], "succeeded"), "../up": "unsafe_name",
        **dict.fromkeys(["lost", "self", "ring", "ring2"], "not_a_file"),
        **dict.fromkeys(["text", "text2"], "unsupported_format"),
    }  # fmt: skip
    assert len({found[name]["sha256"] for name in ("cat.png", "copy.png", "copy2.png")}) == 1
    assert len({found[name]["sha256"] for name in ("first", "chain", "chain2", "later.png")}) == 1
    assert "`gone.png`" in found["lost"]["error"]["detail"]


def test_a_part_without_a_file_name_is_told_what_it_lacks(http):
    answer = problem(http.post("/v1/jobs", files=[("files", (None, png()))]), 422)
    assert "file name" in answer["detail"] and answer["errors"][0]["pointer"] == "/files"


def test_a_compressed_body_is_refused(http):
    """`Content-Encoding` says that the client has compressed what it means; nobody would unpack it."""
    for path in ("/v1/jobs", "/v1/models"):
        headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
        answer = http.post(path, content=gzip.compress(png()), headers=headers)
        assert "Content-Encoding" in problem(answer, 415)["detail"]
    answer = http.post("/v1/jobs", content=png(), headers={"Content-Type": "image/png", "Content-Encoding": "identity"})
    assert answer.status_code == 202
