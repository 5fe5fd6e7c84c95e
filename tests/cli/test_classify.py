"""`darkroom classify` against the running service, with pipes and with a pseudo-terminal."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import pty
import re
import signal
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from tests.cli.kit import PROGRAM, Relay, Seen, darkroom, environment, relay_to
from tests.conftest import PATIENCE_S, Service, wait_until
from tests.fixtures import make
from tests.fixtures.archives import raw_zip
from tests.integration.helpers import png, results, zip_of

CAT, SHIP = (make.CIFAR10 / "cat-0.png").read_bytes(), (make.CIFAR10 / "ship-1.png").read_bytes()
#: An SGR sequence that sets a colour or a style.
COLOUR = re.compile(r"\x1b\[[0-9;]*[1-9][0-9;]*m")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folders with pictures, archives and other files."""
    (tmp_path / "pics" / "in side").mkdir(parents=True)
    (tmp_path / "pics" / ".git").mkdir()
    (tmp_path / "pics" / "a.png").write_bytes(CAT)
    (tmp_path / "pics" / "in side" / 'ö "1".png').write_bytes(SHIP)
    (tmp_path / "pics" / "more.zip").write_bytes(zip_of(("b.png", png(1)), ("c.png", png(2))))
    (tmp_path / "pics" / "letter.docx").write_bytes(zip_of(("word.xml", b"<x/>")))
    (tmp_path / "pics" / "notes.txt").write_text("not a picture")
    (tmp_path / "pics" / ".hidden.png").write_bytes(CAT)
    (tmp_path / "pics" / ".git" / "d.png").write_bytes(CAT)
    return tmp_path


NAMES = {"pics/a.png", 'pics/in side/ö "1".png', "b.png", "c.png"}


def test_a_folder_as_a_table(service: Service, folder: Path) -> None:
    done = darkroom(service.url, folder, "classify", "pics", "--watch")
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["FILE", "LABEL", "SCORE"]
    rows = dict(re.split(r"  +", line)[:2] for line in lines)
    assert set(rows) == NAMES and rows["pics/a.png"] == "cat" and rows['pics/in side/ö "1".png'] == "ship"
    assert done.stderr == "2 files skipped: not images, or damaged (pics/letter.docx, pics/notes.txt)\n"
    assert done.returncode == 0


def test_what_systems_add_is_skipped_and_can_be_listed(service: Service, tmp_path: Path) -> None:
    """In folders by the command, in archives by the service. A guess about names is said; a hint decides."""
    thumbs = tmp_path / "pics" / "@eaDir" / "a.png"
    thumbs.mkdir(parents=True)
    (thumbs / "SYNOPHOTO_THUMB_M.png").write_bytes(CAT)
    (tmp_path / "pics" / "._a.png").write_bytes(CAT)
    (tmp_path / "pics" / "a.png").write_bytes(CAT)
    (tmp_path / "pics" / "b.png.gz").write_bytes(gzip.compress(SHIP))
    (tmp_path / os.fsdecode(b"pics/caf\xe9.png")).write_bytes(SHIP)
    (tmp_path / "pics" / "more.zip").write_bytes(
        raw_zip(("\u0160.png".encode("cp852"), png(1)), (b"Thumbs.db", b"-"), (b"caf\x82.png", png(2)))
    )
    done = darkroom(service.url, tmp_path, "classify", "pics", "--watch", "-o", "csv", "--list-skipped")
    files = {row["file"] for row in csv.DictReader(io.StringIO(done.stdout))}
    assert files >= {"pics/a.png", "pics/b.png", "pics/café.png"}
    assert "Skipped: pics/._a.png\nSkipped: pics/@eaDir/a.png/SYNOPHOTO_THUMB_M.png\n" in done.stderr
    assert "Skipped: pics/more.zip: Thumbs.db\n" in done.stderr and "guessed: cp" in done.stderr
    (job_id,) = re.findall(r"darkroom jobs skipped (\w+)", done.stderr)
    assert "Thumbs.db" in darkroom(service.url, tmp_path, "jobs", "skipped", job_id).stdout
    done = darkroom(service.url, tmp_path, "classify", "pics/more.zip", "--watch", "-o", "csv", "--names", "cp852")
    assert {row["file"] for row in csv.DictReader(io.StringIO(done.stdout))} == {"Š.png", "café.png"}
    assert "guessed" not in done.stderr
    assert darkroom(service.url, tmp_path, "classify", "pics", "--names", "odd").returncode == 2


def test_the_other_formats(service: Service, folder: Path) -> None:
    words = ["classify", "pics", "--watch", "--top-k", "2", "-o"]
    document = json.loads(darkroom(service.url, folder, *words, "json").stdout)
    assert document["job"]["done"] and {item["filename"] for item in document["results"]} == NAMES
    assert all(len(item["predictions"]) == 2 for item in document["results"])
    lines = darkroom(service.url, folder, *words, "ndjson").stdout.splitlines()
    assert {json.loads(line)["filename"] for line in lines} == NAMES
    rows = list(csv.DictReader(io.StringIO(darkroom(service.url, folder, *words, "csv").stdout)))
    assert {row["file"] for row in rows} == NAMES
    assert set(rows[0]) == {"file", "state", "label", "score", "label_2", "score_2", "unknown", "error"}


def test_without_watch_the_id_is_printed_and_jobs_watch_prints_the_results(service: Service, folder: Path) -> None:
    done = darkroom(service.url, folder, "classify", "pics/a.png")
    assert re.fullmatch(r"[0-9a-f]{32}\n", done.stdout) and done.stderr == "" and done.returncode == 0
    watched = darkroom(service.url, folder, "jobs", "watch", done.stdout.strip())
    assert watched.stdout.splitlines()[1].split()[:2] == ["pics/a.png", "cat"]


def test_a_failed_picture_is_exit_code_3(service: Service, folder: Path) -> None:
    (folder / "broken.png").write_bytes(CAT[:100])
    done = darkroom(service.url, folder, "classify", "broken.png", "pics/notes.txt", "pics/a.png", "--watch")
    assert done.returncode == 3 and done.stderr == "2 of 3 pictures failed.\n"
    assert re.search(r"^pics/notes.txt  failed +– +This seems to be text", done.stdout, re.MULTILINE)


def test_a_picture_and_an_archive_on_stdin(service: Service, tmp_path: Path) -> None:
    words = ["classify", "-", "--watch", "-o", "ndjson"]
    picture = darkroom(service.url, tmp_path, *words, stdin=CAT)
    assert json.loads(picture.stdout)["filename"] == "-" and picture.returncode == 0
    archive = darkroom(service.url, tmp_path, *words, stdin=zip_of(("x.png", CAT), ("y.png", SHIP)))
    assert {json.loads(line)["filename"] for line in archive.stdout.splitlines()} == {"x.png", "y.png"}
    nothing = darkroom(service.url, tmp_path, *words, stdin=b"")
    assert nothing.returncode == 3 and json.loads(nothing.stdout)["error"]["code"] == "empty_file"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classify", "missing.png"], "'missing.png' does not exist"),
        (["classify", "."], "there are no files in . (hidden files are ignored)"),
        (["classify", str(Path(__file__).parent / "stack")], "none of the files is a picture"),
        (["classify", "/dev/null"], "Error: /dev/null: not a file"),
        (["classify"], "Missing argument"),
        (["classify", "-", "-o", "xml"], "'xml' is not one of"),
    ],
)
def test_wrong_usage_is_exit_code_2(service: Service, tmp_path: Path, words: list[str], said: str) -> None:
    done = darkroom(service.url, tmp_path, *words)
    assert done.returncode == 2 and done.stdout == "" and said in done.stderr


def test_an_unreadable_file_is_named(service: Service, folder: Path) -> None:
    (folder / "pics" / "gone.png").symlink_to("nowhere.png")
    done = darkroom(service.url, folder, "classify", "pics", "--watch", "-o", "ndjson")
    assert done.returncode == 3 and "pics/gone.png: No such file or directory\n" in done.stderr
    assert {json.loads(line)["filename"] for line in done.stdout.splitlines()} == NAMES


def on_a_terminal(url: str, folder: Path, *words: str, **more: str) -> tuple[str, str]:
    """Return what the program writes to stdout and stderr, each a terminal of its own."""
    texts, ends = [], []
    for _ in range(2):
        ours, theirs = pty.openpty()
        ends.append(theirs)
        texts.append(Terminal(ours))
    program = subprocess.Popen(
        [*PROGRAM, *words], cwd=folder, env=environment(url, folder, **more), stdout=ends[0], stderr=ends[1]
    )
    for end in ends:
        os.close(end)
    program.wait(60)
    return texts[0].text(), texts[1].text()


class Terminal:
    """Reads a pseudo-terminal until the last writer closes it."""

    def __init__(self, end: int) -> None:
        self._end, self._read = end, b""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            while more := os.read(self._end, 65536):
                self._read += more
        except OSError:  # Linux: the last writer has closed it
            pass
        os.close(self._end)

    def text(self) -> str:
        self._thread.join()
        return self._read.decode()


def test_a_terminal_shows_progress_and_colours(service: Service, folder: Path) -> None:
    stdout, stderr = on_a_terminal(service.url, folder, "classify", "pics", "--watch")
    assert "pics/a.png" in stdout and COLOUR.search(stdout)
    assert "4 of 4" in stderr and COLOUR.search(stderr)
    plain = on_a_terminal(service.url, folder, "classify", "pics", "--watch", NO_COLOR="1")
    assert "pics/a.png" in plain[0] and "4 of 4" in plain[1] and not COLOUR.search("".join(plain))


@pytest.mark.parametrize(("form", "first"), [("ndjson", b'"key": "a"'), ("csv", b"a,succeeded,cat")])
def test_results_are_streamed_and_ctrl_c_stops_watching_but_not_the_job(
    service: Service, http: httpx.Client, tmp_path: Path, form: str, first: bytes
) -> None:
    # An open job with one item: its result is written, and the job does not end.
    job_id = http.post("/v1/jobs", json={"kind": "classification"}).json()["id"]
    http.put(f"/v1/jobs/{job_id}/items/a", content=CAT)
    watching = subprocess.Popen(
        [*PROGRAM, "jobs", "watch", job_id, "-o", form, "--timeout", "20"],
        env=environment(service.url, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert first in watching.stdout.readline() or first in watching.stdout.readline()  # CSV has a head
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=PATIENCE_S)
    assert watching.returncode == 130
    assert said.decode().endswith(f"darkroom jobs watch {job_id}\n")
    assert http.get(f"/v1/jobs/{job_id}").json()["state"] == "open"


class Stall:
    """Forwards the first uploads, and blocks the others until it is lifted."""

    def __init__(self, relay: Relay, through: int) -> None:
        self.lifted, self._relay, self._through = threading.Event(), relay, through
        relay.rule = self

    def __call__(self, request: Seen) -> None:
        if request.path.endswith("/items") and len(self._relay.calls("POST", "/items")) > self._through:
            self.lifted.wait(60)


def filled(http: httpx.Client, relay: Relay, count: int) -> str | None:
    """Return the id of the job that is filled through the relay if it has `count` items."""
    for request in relay.calls("POST", "/items")[:1]:
        job = http.get(request.path.removesuffix("/items")).json()
        return job["id"] if job["counts"]["total"] == count else None
    return None


def test_an_interrupted_upload_is_resumed(service: Service, http: httpx.Client, tmp_path: Path) -> None:
    # Given a folder of 400 pictures (seven requests) and a program that is killed after the second request
    pictures = {f"pics/{number:03}.png" for number in range(400)}
    (tmp_path / "pics").mkdir()
    for number, name in enumerate(sorted(pictures)):
        (tmp_path / name).write_bytes(png(number))
    with relay_to(service.url) as relay:
        stall = Stall(relay, through=2)
        first = subprocess.Popen([*PROGRAM, "classify", "pics"], cwd=tmp_path, env=environment(relay.url, tmp_path))
        job_id = wait_until(lambda: filled(http, relay, 128), "two requests are in the job, and no third")
        first.kill()
        first.wait()
        relay.rule, before = lambda _request: None, len(relay.seen)

        # When the same command runs again
        done = darkroom(relay.url, tmp_path, "classify", "pics")

        # Then it fills the same job and sends only the rest
        assert done.stdout.strip() == job_id
        assert job_id in done.stderr and "128" in done.stderr
        sent = b"".join(seen.body for seen in relay.seen[before:] if seen.path.endswith("/items"))
        assert sent.count(b'filename="') == 272
        assert list((tmp_path / "darkroom" / "uploads").iterdir()) == []
        stall.lifted.set()
    names = [item["filename"] for item in results(http, job_id)]
    assert len(names) == 400 and set(names) == pictures


def test_a_lost_reply_to_seal_does_not_repeat_the_upload(service: Service, http: httpx.Client, folder: Path) -> None:
    def unanswered(request: Seen) -> tuple[int, dict[str, str], bytes] | None:
        if not request.path.endswith("/seal"):
            return None
        http.post(request.path)
        return 503, {"Retry-After": "1800"}, b""

    def broken_off() -> str:
        """Return the id of the job that was created, filled and sealed."""
        relay.rule = unanswered
        done = darkroom(relay.url, folder, "classify", "pics")
        job_id = relay.calls("POST", "/seal")[-1].path.split("/")[3]
        assert f"Job {job_id} may be incomplete" in done.stderr and "same command" in done.stderr
        relay.rule = lambda _request: None
        return job_id

    with relay_to(service.url) as relay:
        first, before = broken_off(), len(relay.seen)
        again = darkroom(relay.url, folder, "classify", "pics")
        assert again.stdout == f"{first}\n" and "POST" not in {seen.method for seen in relay.seen[before:]}
        assert first in again.stderr and "already complete" in again.stderr

        second = broken_off()
        (folder / "pics" / "new.png").write_bytes(CAT)
        new = darkroom(relay.url, folder, "classify", "pics").stdout.strip()
    assert len({first, second, new}) == 3 and len(results(http, new)) == 5
