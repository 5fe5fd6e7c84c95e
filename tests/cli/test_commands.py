"""The other commands of `darkroom` against the running service, and exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import httpx

from cli.__main__ import COMMANDS
from cli.stack.embedded_redis import free_port
from shared.domain.classifier import Classifier
from shared.domain.entities import Failure, JobKind
from tests.cli.kit import PROGRAM, darkroom, environment, relay_to
from tests.conftest import ROOT, Service
from tests.fixtures import make
from tests.integration.helpers import finished, open_job, png, put, submit
from tests.versions_kit import measured, services_of, shipped, version_folder


def test_help_names_every_command_and_exit_code_and_loads_nothing(tmp_path: Path) -> None:
    said = darkroom("", tmp_path, "--help").stdout
    assert all(f"\n  {name} " in said for name in COMMANDS)
    assert all(f"\n    {code}  " in said for code in (0, 1, 2, 3, 4, 5, 6, 130))
    loaded = "import sys, cli.__main__; print({'httpx', 'pydantic', 'rich', 'cli.client'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=ROOT, text=True) == "set()\n"


def test_jobs_are_listed_shown_cancelled_and_deleted(service: Service, http: httpx.Client, tmp_path: Path) -> None:
    job_id = open_job(http)
    put(http, job_id, "a", png(1))
    listed = darkroom(service.url, tmp_path, "jobs", "list", "--state", "open", "-o", "csv")
    assert next(csv.DictReader(io.StringIO(listed.stdout)))["id"] == job_id
    (only,) = json.loads(darkroom(service.url, tmp_path, "jobs", "list", "--limit", "1", "-o", "json").stdout)
    assert (only["id"], only["state"]) == (job_id, "open")
    shown = darkroom(service.url, tmp_path, "jobs", "show", job_id).stdout.splitlines()
    assert [line.split()[:2] for line in shown[:3]] == [["ID", job_id], ["KIND", "classification"], ["STATE", "open"]]
    busy = darkroom(service.url, tmp_path, "jobs", "delete", job_id)
    assert busy.returncode == 1 and job_id in busy.stderr and "cancel it" in busy.stderr
    late = darkroom(service.url, tmp_path, "jobs", "watch", job_id, "--timeout", "0.3")
    assert late.returncode == 6 and f"darkroom jobs watch {job_id}\n" in late.stderr and late.stdout == ""
    with relay_to(service.url) as relay:
        away = (503, {"Retry-After": "1800"}, b"")
        relay.rule = lambda _request: away if len(relay.calls("GET", job_id)) > 1 else None
        unavailable = darkroom(relay.url, tmp_path, "jobs", "watch", job_id)
    assert unavailable.returncode == 1 and f"darkroom jobs watch {job_id}\n" in unavailable.stderr

    assert darkroom(service.url, tmp_path, "jobs", "cancel", job_id).returncode == 0
    finished(http, job_id)
    assert darkroom(service.url, tmp_path, "jobs", "watch", job_id).returncode == 5
    assert darkroom(service.url, tmp_path, "jobs", "delete", job_id).returncode == 0
    gone = darkroom(service.url, tmp_path, "jobs", "show", job_id)
    assert gone.returncode == 2 and job_id in gone.stderr


def test_a_job_that_failed_is_exit_code_1(service: Service, tmp_path: Path) -> None:
    with services_of(service) as parts:
        job_id = parts.store.create(JobKind.CLASSIFICATION, retention_s=3600, model=shipped())
        parts.store.fail(job_id, Failure("bad_model", "The model is damaged."))  # as a worker that cannot use it does
    failed = darkroom(service.url, tmp_path, "jobs", "watch", job_id)
    assert failed.returncode == 1 and "The model is damaged." in failed.stderr


def test_failed_pictures_can_be_retried(service: Service, tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(png()[:-400])
    first = darkroom(service.url, tmp_path, "classify", "cut.png", "--watch", "-o", "ndjson")
    assert first.returncode == 3
    (job,) = json.loads(darkroom(service.url, tmp_path, "jobs", "list", "--limit", "1", "-o", "json").stdout)
    again = darkroom(service.url, tmp_path, "jobs", "retry", job["id"], "--watch", "-o", "ndjson")
    assert again.returncode == 3 and len(again.stdout.splitlines()) == 1
    assert json.loads(again.stdout)["finished_at"] > json.loads(first.stdout)["finished_at"]


def test_a_missing_or_foreign_server_is_reported_with_advice(service: Service, tmp_path: Path) -> None:
    unreachable = darkroom("http://127.0.0.1:9", tmp_path, "jobs", "list")
    assert unreachable.returncode == 1 and "127.0.0.1:9" in unreachable.stderr and "./darkroom up" in unreachable.stderr
    wrong = darkroom("127.0.0.1:9", tmp_path, "jobs", "list")
    assert wrong.returncode == 2 and "such as http://" in wrong.stderr
    with relay_to(service.url) as relay:
        relay.rule = lambda _request: (403, {"Server": "AirTunes"}, b"")
        other = darkroom(relay.url, tmp_path, "jobs", "list")
        assert other.returncode == 1 and "is not Darkroom" in other.stderr
        relay.rule = lambda request: (
            None if request.path == "/healthz" else (403, {}, b'{"detail": "not with this key"}')
        )
        forbidden = darkroom(relay.url, tmp_path, "jobs", "list", DARKROOM_API_KEY="k")
    assert forbidden.returncode == 4 and "not with this key\nSet DARKROOM_API_KEY" in forbidden.stderr
    assert relay.seen[-1].headers["Authorization"] == "Bearer k"


def test_classifiers_are_listed_promoted_and_used(service: Service, tmp_path: Path) -> None:
    with services_of(service) as parts:
        folders = [version_folder(tmp_path, b"fruit %d" % n, owner="local", classifier="fruit") for n in range(2)]
        first, second = (parts.registry.publish(folder).version for folder in folders)
        early = darkroom(service.url, tmp_path, "classify", str(make.CIFAR10 / "cat-0.png"), "--classifier", "fruit")
        assert early.returncode == 2 and "no champion yet" in early.stderr
        promoted = darkroom(service.url, tmp_path, "classifiers", "promote", "fruit", first, "-o", "json").stdout
        assert json.loads(promoted)["champion"]["version"] == first
        promoted = darkroom(service.url, tmp_path, "models", "promote", second, "-o", "json").stdout
        assert json.loads(promoted)["version"] == second
        listed = darkroom(service.url, tmp_path, "models", "list", "--classifier", "fruit", "-o", "csv").stdout
        assert {row["classifier"] for row in csv.DictReader(io.StringIO(listed))} == {"fruit"}
        late = darkroom(service.url, tmp_path, "classifiers", "promote", "fruit", first, "--instead-of", first)
        assert late.returncode == 1 and f"the champion of fruit is {second}, not {first}" in late.stderr
        shown = darkroom(service.url, tmp_path, "classifiers", "show", "fruit").stdout
        assert second in shown and first in shown and "airplane, automobile" in shown
        listed = darkroom(service.url, tmp_path, "classifiers", "list", "-o", "csv").stdout
        rows = {row["name"]: row["champion"] for row in csv.DictReader(io.StringIO(listed))}
        assert (rows["cifar10"], rows["fruit"]) == (shipped(), second)
        job = darkroom(service.url, tmp_path, "classify", str(make.CIFAR10 / "cat-0.png"), "--classifier", "fruit")
        assert parts.store.get(job.stdout.strip()).model == second
        parts.classifiers.remove(Classifier("fruit", "local"))


def test_models_are_listed_compared_promoted_and_refused(service: Service, tmp_path: Path) -> None:
    with services_of(service) as parts:
        folders = [measured(version_folder(tmp_path, b"1"), bytes(10)), measured(version_folder(tmp_path, b"2"))]
        worse, other = (parts.registry.publish(folder).version for folder in folders)
        listed = darkroom(service.url, tmp_path, "models", "list", "-o", "csv").stdout
        assert {row["version"] for row in csv.DictReader(io.StringIO(listed))} > {worse, other, shipped()}
        shown = darkroom(service.url, tmp_path, "models", "show", other, "-o", "json").stdout
        assert json.loads(shown)["version"] == other

        found = darkroom(service.url, tmp_path, "models", "compare", worse, other).stdout
        assert f"{other} against {worse}" in found and "The second is better: +90.00 points" in found
        unknown = darkroom(service.url, tmp_path, "models", "compare", other, "nothing")
        assert unknown.returncode == 2 and "no model version nothing" in unknown.stderr
        promoted = darkroom(service.url, tmp_path, "models", "promote", other, "-o", "json")
        assert json.loads(promoted.stdout)["version"] == other and parts.registry.alias().version == other
        late = darkroom(service.url, tmp_path, "models", "promote", other, "--instead-of", shipped())
        assert late.returncode == 1 and f"the champion of cifar10 is {other}, not {shipped()}" in late.stderr
    (tmp_path / "model.h5").write_bytes(b"no model")
    refused = darkroom(service.url, tmp_path, "models", "import", "model.h5", "--labels", "cat, dog")
    assert refused.returncode == 2 and "this is not a .keras, .h5, .onnx or .tflite file" in refused.stderr


def test_a_terminal_that_cannot_show_every_character(service: Service, http: httpx.Client, tmp_path: Path) -> None:
    job_id = submit(http, ("日本…ü.png", png(1)))
    finished(http, job_id)
    latin = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    shown = subprocess.run(
        [*PROGRAM, "jobs", "watch", job_id],
        check=True,
        capture_output=True,
        env=environment(service.url, tmp_path, **latin),
    )
    assert "\\u65e5\\u672c\\u2026ü.png" in shown.stdout.decode("latin-1")
    listed = darkroom(service.url, tmp_path, "jobs", "watch", job_id, "-o", "json", **latin)
    assert "日本…ü.png" in json.dumps(json.loads(listed.stdout), ensure_ascii=False)


def test_settings_for_proxies_and_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    for name, value, url in (
        ("ALL_PROXY", "socks://127.0.0.1:1080/", "http://192.0.2.1"),
        ("all_proxy", "socks5://127.0.0.1:1080/", "http://192.0.2.1"),
        ("HTTPS_PROXY", "nonsense://", "https://192.0.2.1"),
        ("SSL_CERT_FILE", "/missing.pem", "https://192.0.2.1"),
    ):
        done = darkroom(url, tmp_path, "jobs", "list", **{name: value})
        assert done.returncode == 2 and name in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


def test_no_proxy_is_asked_for_this_machine(tmp_path: Path) -> None:
    url = f"http://127.0.0.2:{free_port()}"
    done = darkroom(url, tmp_path, "jobs", "list", ALL_PROXY="socks://127.0.0.1:1080/")
    assert done.returncode == 1 and f"no response from {url}" in done.stderr


def test_a_key_for_another_service_is_said(service: Service, tmp_path: Path) -> None:
    """Given a service without keys, a key of another data folder is useless to it. Alone, nothing is said."""
    elsewhere = {"DARKROOM_DATA_DIR": str(tmp_path / "elsewhere")}
    made = darkroom(service.url, tmp_path, "keys", "create", "ann", **elsewhere)
    assert made.returncode == 0 and str(tmp_path / "elsewhere") in made.stderr
    assert f"the service at {service.url} does not know this key" in made.stderr
    alone = darkroom(f"http://127.0.0.1:{free_port()}", tmp_path, "keys", "create", "bob", **elsewhere)
    assert alone.returncode == 0 and "Warning" not in alone.stderr


def test_presets_are_listed_and_wrong_parameters_are_named(service: Service, tmp_path: Path) -> None:
    listed = darkroom(service.url, tmp_path, "train", "--presets", "-o", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(listed)))
    epochs = next(row for row in rows if (row["preset"], row["parameter"]) == ("seed", "epochs"))
    assert (epochs["default"], epochs["allowed"]) == ("8", "1 to 1000")
    wrong = darkroom(service.url, tmp_path, "train", "--preset", "seed", "--epochs", "0", "--fliters=3")
    assert wrong.returncode == 2 and "epochs" in wrong.stderr and "fliters" in wrong.stderr
    alone = darkroom(service.url, tmp_path, "train", "--preset", "head")
    assert alone.returncode == 2 and "head needs a dataset of yours: --dataset NAME; " in alone.stderr
