"""`darkroom datasets`, and the way from a folder to a Classifier, against the running service."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from cli.__main__ import main
from cli.client.files import find
from cli.terminal.progress_bar import describe_progress, describe_state
from darkroom import Client, Conflict, Invalid, NotFound, NotSent
from shared.datasets.labels_file import read_labels_file
from tests.cli.kit import Seen, darkroom, relay_to
from tests.conftest import Service
from tests.documents import DOCS, blocks
from tests.fixtures.shapes import SHAPES, drawn, encoded
from tests.integration.helpers import finished, png


def fill(folder: Path, count: int, first: int = 0) -> None:
    """Write a folder for each shape, with `count` pictures."""
    for shape in SHAPES:
        (folder / shape).mkdir(parents=True, exist_ok=True)
        for seed in range(first, first + count):
            (folder / shape / f"{seed}.png").write_bytes(encoded(drawn(shape, seed)))


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """Return a client of the service; Datasets that a test leaves are deleted."""
    with Client(service.url) as client:
        before = {dataset["name"] for dataset in client.datasets()}
        yield client
        for dataset in list(client.datasets()):
            if dataset["name"] not in before:
                client.delete_dataset(dataset["name"])


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that runs the program in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(main, words, input=stdin, env={"DARKROOM_URL": service.url})

    return run


def curl(http: httpx.Client, folder: Path, words: list[str]) -> dict[str, Any]:
    """Send what curl would send for these words, in this folder; wait for the Job if there is one, and return it."""
    options = {"-H": [], "-d": [], "--data-binary": []}
    assert words[:2] == ["curl", "-sS"]
    for option, value in zip(words[2:-1:2], words[3:-1:2], strict=True):
        options[option].append(value)
    (body,) = options["-d"] or [(folder / name.removeprefix("@")).read_bytes() for name in options["--data-binary"]]
    headers = dict(header.split(": ", 1) for header in options["-H"])
    answer = http.post(words[-1].removeprefix("$DARKROOM_URL"), content=body, headers=headers)
    assert answer.is_success, answer.text
    said: dict[str, Any] = answer.json()
    return finished(http, said["id"]) if "id" in said else said


def test_the_document_as_written(
    service: Service, http: httpx.Client, client: Client, tmp_path: Path, run: Callable[..., Result]
) -> None:
    """Given a folder for each class, When the commands are typed as written, Then new pictures get the right class."""
    document = DOCS / "own-classes.md"
    fill(tmp_path / "photos", 12)
    fill(tmp_path / "new", 1, first=99)
    (tmp_path / "new" / "kiwi-1.jpg").write_bytes(encoded(drawn("circle", 100), "JPEG"))
    up, *commands = blocks("sh", document)[0].splitlines()
    assert up.split("#")[0].split() == ["./darkroom", "up"]
    assert len(commands) == 4
    for command in commands:
        program, *words = shlex.split(command, comments=True)
        assert program == "./darkroom"
        done = darkroom(service.url, tmp_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    answers = dict(line.split()[:2] for line in done.stdout.splitlines()[1:])
    assert answers == {"new/kiwi-1.jpg": "circle"} | {f"new/{shape}/99.png": shape for shape in SHAPES}
    assert client.classifier("fruit")["labels"] == sorted(SHAPES)
    card = client.model(client.classifier("fruit")["champion"]["version"])
    assert (card["dataset"]["train"], card["dataset"]["test"]) == (30, 6)

    report = darkroom(service.url, tmp_path, "datasets", "report", "fruit").stdout
    assert re.search(r"^ACCURACY +[01]\.\d{4} with \d+ pictures, ", report, re.MULTILINE)
    assert re.search(r"^UP TO DATE +yes$", report, re.MULTILINE) and "circle (12: fewer than 50)" in report
    doubted = list(client.pictures("fruit", sort="doubt"))
    assert doubted[0]["doubt"] >= doubted[-1]["doubt"] and doubted[0]["suggested"]["label"] in SHAPES
    decide(run, client, doubted[0])
    learnt = next(client.pictures("fruit", split="train"))["id"]
    assert "--dataset fruit --promote always" in run("datasets", "pin", "fruit", "test", learnt).stderr

    # When the same is done over HTTP, Then the answer is the same
    (typed,) = [block for block in blocks("sh", document) if "curl" in block]
    _exported, zipped, *calls = [shlex.split(line) for line in typed.splitlines()]
    subprocess.run([sys.executable, *zipped[1:]], check=True, cwd=tmp_path)
    job = [curl(http, tmp_path, words) for words in calls][-1]
    assert next(client.results(job["id"]))["predictions"][0]["label"] == "circle"
    for name in ("fruit", "fruit2"):
        client.delete_classifier(name)


def decide(run: Callable[..., Result], client: Client, doubted: dict[str, Any]) -> None:
    """Keep a doubted label, forget that, and accept the other one; pictures without a suggestion are refused."""
    number, other = doubted["id"], doubted["suggested"]["label"]
    assert run("datasets", "keep", "fruit", number).stderr == f"{number}: kept, not {other}\n"
    assert client.picture("fruit", number)["rejected"] == other
    assert run("datasets", "keep", "fruit", "--forget", number).stderr == f"{number}: may be doubted again\n"
    assert client.picture("fruit", number)["rejected"] is None
    assert run("datasets", "accept", "fruit", "-", stdin=number).stderr == f"{number}: {other}\n"
    assert client.picture("fruit", number)["label"] == other
    refused = run("datasets", "accept", "fruit", number)
    assert refused.exit_code == 1 and "suggests no label" in refused.stderr
    run("datasets", "unlabel", "fruit", number)
    assert "has no label to keep" in run("datasets", "keep", "fruit", number).stderr


def test_every_command_of_the_document_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photos", "new"):
        Path(name).mkdir()
    lines = "".join(blocks("sh", DOCS / "own-classes.md")).splitlines()
    lines = [line for line in lines if line.startswith("./darkroom")]
    assert len(lines) == 17
    for line in lines:
        group, (_, *words) = main, shlex.split(line, comments=True)
        while isinstance(group, click.Group):
            group = group.get_command(click.Context(group), words.pop(0))
        assert group is not None, line
        group.make_context(line, words)  # raises UsageError for a wrong option


def test_the_conversion_of_coco_in_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    coco = {
        "categories": [{"id": 7, "name": "kiwi"}, {"id": 9, "name": "lemon, sour"}],
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"image_id": 2, "category_id": 7}, {"image_id": 1, "category_id": 9}],
    }
    Path("annotations.json").write_text(json.dumps(coco))
    (program,) = blocks("python", DOCS / "own-classes.md")
    subprocess.run([sys.executable, "-c", program], check=True)
    lines = read_labels_file("labels.csv", Path("labels.csv").read_bytes())
    assert {line.file: line.label for line in lines} == {"a.jpg": "lemon, sour", "b.jpg": "kiwi"}


def test_add_says_what_became_of_each_picture(service: Service, client: Client, tmp_path: Path) -> None:
    client.create_dataset("things")
    fill(tmp_path / "photos", 2)
    circle = (tmp_path / "photos/circle/0.png").read_bytes()
    extra = {"circle/cut.png": circle[:200], "square/circle.png": circle, "loose.png": png(1), "listed.png": png(2)}
    for name, content in extra.items():
        (tmp_path / "photos" / name).write_bytes(content)
    (tmp_path / "photos" / "labels.csv").write_text("file,label\nlisted.png,cat\n")
    (tmp_path / "photos" / "Thumbs.db").write_bytes(b"")
    done = darkroom(service.url, tmp_path, "datasets", "add", "things", "photos")
    assert done.returncode == 3
    added, conflicts, conflict, failed, failure = done.stdout.splitlines()[:5]
    assert (added, failed) == ("Added: 8", "Failed: 1")
    assert conflicts == "Already there under another label, which is kept: 1"
    assert re.fullmatch(
        r"  (square/circle|circle/0)\.png: picture \d+ has the label (circle|square), not \w+", conflict
    )
    assert failure == "  circle/cut.png: This picture is truncated: the end of the file is missing."
    assert done.stdout.endswith("Without a label: 1\n")
    assert re.search("^cat ", done.stdout, re.MULTILINE)
    assert "1 file skipped: not an image, or damaged (photos/Thumbs.db)" in done.stderr
    assert "got the label" not in done.stderr

    again = darkroom(service.url, tmp_path, "datasets", "add", "things", "photos/square", "-o", "csv")
    rows = {row["file"]: row["outcome"] for row in csv.DictReader(io.StringIO(again.stdout))}
    assert rows["square/1.png"] == "present" and len(rows) == 3
    assert "The pictures in photos/square got the label square; for another one: --label LABEL\n" in again.stderr
    missing = darkroom(service.url, tmp_path, "datasets", "add", "thing", "photos")
    assert missing.returncode == 2 and missing.stderr.startswith("Error: there is no dataset thing; you have: ")
    assert missing.stderr.endswith("\nTo create it: ./darkroom datasets create thing\n")

    client.rename_label("things", "square", "box")
    again = darkroom(service.url, tmp_path, "datasets", "add", "things", "photos/square")
    assert (
        "Labels without pictures: square. To delete one: ./darkroom datasets delete-label things LABEL\n"
        in again.stderr
    )


class FirstOnly:
    """Forwards the first upload, and breaks the connection of the others."""

    def __init__(self) -> None:
        self.uploads = 0

    def __call__(self, request: Seen) -> tuple[int, dict[str, str], bytes] | None:
        self.uploads += request.path.endswith("/items") and request.method == "POST"
        stopped = self.uploads > 1 and request.path.endswith("/items")
        return (503, {"Retry-After": "1800"}, b"") if stopped else None


def test_an_interrupted_import_is_resumed(service: Service, client: Client, tmp_path: Path) -> None:
    # Given 66 pictures (two requests), and a service that goes away after one of them
    client.create_dataset("things")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    for number in range(66):
        (tmp_path / f"photos/cat/{number}.png").write_bytes(png(number))
    words = ("datasets", "add", "things", "photos")
    with relay_to(service.url) as relay:
        relay.rule = FirstOnly()
        broken_off = darkroom(relay.url, tmp_path, *words)
        assert broken_off.returncode == 1 and "Run the same command again" in broken_off.stderr
        (job,) = client.jobs(kind="import", state="open")
        there = job["counts"]["total"]
        assert there in (2, 64)

        # When the same command runs again
        relay.rule, before = lambda _request: None, len(relay.seen)
        done = darkroom(relay.url, tmp_path, *words)

        # Then it fills the same import and sends only the rest
        assert done.returncode == 0 and f"{there} pictures are already there" in done.stderr
        sent = b"".join(seen.body for seen in relay.seen[before:] if seen.path.endswith("/items"))
        assert sent.count(b'filename="cat/') == 66 - there
    assert client.job(job["id"])["counts"]["succeeded"] == 66
    assert [label["name"] for label in client.dataset("things")["labels"]] == ["cat"]


def test_pictures_are_labelled_pinned_exported_and_deleted(client: Client, run, tmp_path: Path) -> None:
    fill(tmp_path / "photos", 2)
    made = json.loads(run("datasets", "create", "things", "--label", "square", "-o", "json").stdout)
    assert [label["name"] for label in made["labels"]] == ["square"]
    job = client.import_pictures("things", tmp_path / "photos")
    assert client.wait(job["id"], 60)["counts"]["succeeded"] == 6
    watched = run("jobs", "watch", job["id"])
    assert watched.stdout.splitlines()[1].split() == ["bars/0.png", "bars", "added"]

    ids = [picture["id"] for picture in client.pictures("things", label="circle")]
    unknown = run("datasets", "label", "things", "triangle", *ids)
    assert unknown.exit_code == 2
    assert unknown.stderr == "Error: there is no label 'triangle': add it first; you have: bars, circle, square\n"
    unknown = run("datasets", "rename-label", "things", "triangle", "bar")
    assert unknown.exit_code == 2 and "'triangle'; you have: bars, circle, square" in unknown.stderr
    assert run("datasets", "add-label", "things", "triangle").exit_code == 0
    assert run("datasets", "label", "things", "triangle", "-", stdin="\n".join(ids)).stderr == "2 pictures: triangle\n"
    assert run("datasets", "unlabel", "things", ids[0]).stderr == "1 picture: no label\n"
    assert run("datasets", "pin", "things", "test", ids[1]).stderr == "1 picture, with near copies: test\n"
    listed = run("datasets", "pictures", "things", "--label", "triangle", "-o", "csv").stdout
    (row,) = csv.DictReader(io.StringIO(listed))
    assert (row["id"], row["split"], row["pinned"]) == (ids[1], "test", "True")
    refused = run("datasets", "rename-label", "things", "triangle", "bars")
    assert refused.exit_code == 1 and refused.stderr.endswith("To merge them: add --merge\n")
    merged = run("datasets", "rename-label", "things", "triangle", "bars", "--merge")
    assert merged.exit_code == 0 and merged.stderr.startswith("triangle is bars now: ")
    assert "Rename your folder triangle too" in merged.stderr
    deleted = run("datasets", "delete-label", "things", "square", "--pictures")
    assert (deleted.exit_code, deleted.stderr) == (0, "square is deleted. Its pictures are, too.\n")
    shown = run("datasets", "show", "things").stdout
    assert "Without a label: 1" in shown and "square" not in shown

    assert run("datasets", "export", "things").exit_code == 0
    again = run("datasets", "export", "things")
    assert again.exit_code == 2 and "things.zip is there already" in again.stderr
    with zipfile.ZipFile(tmp_path / "things.zip") as archive:
        assert len(archive.namelist()) == 5
    assert run("datasets", "export", "things", "copy").exit_code == 0
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"bars", "0.png", "labels.csv"}

    assert run("datasets", "delete", "things", ids[0]).exit_code == 0
    pictures = {each["name"]: each["pictures"] for each in json.loads(run("datasets", "list", "-o", "json").stdout)}
    assert pictures["things"] == 3
    assert run("datasets", "delete", "things", stdin="n\n").exit_code == 1
    assert run("datasets", "delete", "things", "--yes").exit_code == 0
    assert run("datasets", "show", "things").exit_code == 2


def test_errors_of_datasets_have_their_classes(client: Client) -> None:
    client.create_dataset("things")
    with pytest.raises(Conflict):
        client.create_dataset("things")
    with pytest.raises(Invalid):
        client.create_dataset("cifar10")
    with pytest.raises(Invalid, match=r"use a-z, 0-9 and -, e\.g\. my-fruit"):
        client.create_dataset("My Fruit")
    with pytest.raises(NotFound):
        client.open_import("nothing")
    with pytest.raises(Invalid, match="the dataset has pictures of 0"):
        client.train(preset="head", dataset="things")
    with pytest.raises(Invalid, match="epochs is not a parameter of preset head"):
        client.train(preset="head", dataset="things", epochs=3)


def test_a_report_is_waited_for(service: Service) -> None:
    def computing(_request: Seen) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, json.dumps({"computing": len(relay.seen) < 3}).encode()

    with relay_to(service.url) as relay, Client(relay.url) as through:
        relay.rule = computing
        assert through.report("things", timeout_s=0)["computing"]
        assert not through.report("things")["computing"]
    assert len(relay.seen) == 3


def test_an_export_that_breaks_off_leaves_no_file(service: Service, client: Client, tmp_path: Path) -> None:
    client.create_dataset("things")
    with relay_to(service.url) as relay, Client(relay.url) as through:
        relay.rule = lambda _request: "drop"
        with pytest.raises(Exception, match="broke off"):
            through.export_dataset("things", tmp_path / "things.zip")
    assert list(tmp_path.iterdir()) == []


def test_names_begin_below_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given folders and loose pictures, Then the folder in a name is a label, and a loose picture has none."""
    for name in ("photos/cat/1.png", "photos/pets/dog/2.png", "photos/3.png", "photos/@eaDir/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png())

    def names(*sources: str) -> list[str]:
        return [file.name for file in find(sources, relative=True)]

    monkeypatch.chdir(tmp_path)
    assert names("photos") == ["3.png", "cat/1.png", "pets/dog/2.png"]
    assert names(str(tmp_path / "photos" / "cat"), "photos/pets/dog", "photos/3.png") == [
        *("cat/1.png", "dog/2.png", "3.png"),
    ]
    monkeypatch.chdir(tmp_path / "photos" / "cat")
    assert names(".") == names("../cat") == ["cat/1.png"]
    assert names("..") == ["3.png", "cat/1.png", "pets/dog/2.png"]
    (tmp_path / "photos" / "labels.csv").write_text("\ufefffile;label\npets/dog/2.png;spaniel\ncat/1.png;\n9.png;dog\n")
    monkeypatch.chdir(tmp_path)
    found = {file.name: file for file in find(["photos"], relative=True)}
    assert {name: file.label for name, file in found.items()} == {
        **{"3.png": None, "1.png": None, "pets/dog/2.png": "spaniel", "9.png": None},
    }
    with pytest.raises(OSError, match=r"`labels\.csv`, line 4: no file `9\.png` in this folder"):
        found["9.png"].open()
    Path("photos/labels.csv").write_text("what\n")
    with pytest.raises(NotSent, match=r"photos: `labels\.csv`, line 1: it has no column 'file'"):
        list(find(["photos"], relative=True))
    Path("photos/labels.csv").unlink()
    monkeypatch.chdir(tmp_path / "photos" / "cat")
    assert [file.key for file in find(["."], relative=True)] == [file.key for file in find(["."])]


def test_the_progress_of_an_import() -> None:
    counts = {"total": 5000, "succeeded": 1200, "failed": 1, "cancelled": 0}
    job = {
        "kind": "import",
        "state": "running",
        "counts": counts,
        "progress": 0.24,
        "queue_position": None,
        "eta_s": 90,
    }
    assert describe_state(job) == "Importing"
    assert describe_progress(job, 42.2) == "1,201 of 5,000, 1 failed, 42/s, 90 s left"
