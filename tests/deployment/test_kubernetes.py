"""The Kubernetes manifests against the code: the same programs as elsewhere, with settings and metrics that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.stack.programs import programs
from shared.services import Services
from shared.settings import MIB, Settings, load_settings
from shared.storage.blobs import web_patience
from tests.test_deployment import arguments, compose, instructions
from web.app import create_app
from web.monitoring.service_collector import ServiceCollector

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "deploy" / "kubernetes"
#: Programs that run from the image without a model.
LIGHT = {"web", "reconcile", "deliver"}
UNITS = {"Mi": MIB, "Gi": 1024 * MIB}

Resource = dict[str, Any]


def kustomization(folder: Path = FOLDER) -> Resource:
    return dict(yaml.safe_load((folder / "kustomization.yaml").read_text()))


@cache
def resources() -> list[Resource]:
    """Return all resources of the base, and of the component `keda`."""
    files = [folder / name for folder in (FOLDER, FOLDER / "keda") for name in kustomization(folder)["resources"]]
    return [each for file in files for each in yaml.safe_load_all(file.read_text())]


def of_kind(kind: str) -> dict[str, Resource]:
    return {each["metadata"]["name"]: each for each in resources() if each["kind"] == kind}


def pod(name: str) -> Resource:
    return dict(of_kind("Deployment")[name]["spec"]["template"]["spec"])


def container(name: str) -> Resource:
    (only,) = pod(name)["containers"]
    return dict(only)


def ours() -> set[str]:
    return of_kind("Deployment").keys() - {"redis"}


def labels(name: str) -> Resource:
    return dict(of_kind("Deployment")[name]["spec"]["template"]["metadata"]["labels"])


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the variables of a Secret that the script has made."""
    folder = tmp_path_factory.mktemp("secret")
    script = shutil.copy(FOLDER / "secret.sh", folder)
    subprocess.run([script], check=True, capture_output=True)
    return dict(line.split("=", 1) for line in (folder / "secret.env").read_text().splitlines())


@pytest.fixture(scope="module")
def settings(secret: dict[str, str]) -> Settings:
    return load_settings(of_kind("ConfigMap")["darkroom"]["data"] | secret)


def test_every_file_is_part_of_the_base_or_the_component() -> None:
    for folder in (FOLDER, FOLDER / "keda"):
        listed = set(kustomization(folder)["resources"]) | {"kustomization.yaml"}
        assert {path.name for path in folder.glob("*.yaml")} == listed


def test_each_program_has_a_deployment_with_the_same_command(settings: Settings) -> None:
    expected = programs(settings)
    assert ours() == expected.keys()
    for name in ours():
        assert container(name)["command"] == ["python", *expected[name][1:]], name


def test_each_program_runs_from_its_image() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ours():
        assert container(name)["image"] == f"{'darkroom-web' if name in LIGHT else 'darkroom'}:{version}"
    assert {image["name"] for image in kustomization()["images"]} == {"darkroom", "darkroom-web"}
    assert container("redis")["image"] == compose()["services"]["redis"]["image"]


def test_the_secret_is_made_once_and_is_never_committed(tmp_path: Path) -> None:
    script = shutil.copy(FOLDER / "secret.sh", tmp_path)
    first = subprocess.run([script], check=True, capture_output=True, text=True)
    file = tmp_path / "secret.env"
    assert file.stat().st_mode & 0o077 == 0
    text = file.read_text()
    assert first.stdout.strip() in text
    assert subprocess.run([script], check=False, capture_output=True).returncode == 1
    assert file.read_text() == text
    (generator,) = kustomization()["secretGenerator"]
    assert generator == {"name": "darkroom", "envs": ["secret.env"]}
    ignored = subprocess.run(["git", "check-ignore", "deploy/kubernetes/secret.env"], cwd=ROOT, check=False)
    assert ignored.returncode == 0


def test_each_program_gets_the_settings_and_the_secret() -> None:
    for name in ours():
        assert container(name)["envFrom"] == [
            {"configMapRef": {"name": "darkroom"}},
            {"secretRef": {"name": "darkroom"}},
        ]
    kept = compose()["x-darkroom"]["environment"]
    for name in ("MALLOC_ARENA_MAX", "KERAS_HOME"):
        assert of_kind("ConfigMap")["darkroom"]["data"][name] == kept[name]


def test_the_settings_work_together(settings: Settings, secret: dict[str, str]) -> None:
    service = of_kind("Service")["redis"]["spec"]["ports"][0]
    assert settings.resolved_redis_url() == f"redis://:{secret['REDIS_PASSWORD']}@redis:{service['port']}/0"
    assert settings.storage_url, "the pods share no disk"
    assert settings.is_exposed_on(settings.host) and not settings.needs_stored_key
    assert str(settings.data_dir) == "/data"


def test_kubernetes_adds_no_variables() -> None:
    """Given a Service called darkroom, it would add `DARKROOM_PORT=tcp://…`, which stops every program."""
    assert all(pod(name)["enableServiceLinks"] is False for name in of_kind("Deployment"))


def test_nothing_runs_as_root_or_writes_to_its_image() -> None:
    (user,) = re.findall(r"--uid (\d+)", " ".join(rest for word, rest in instructions() if word == "RUN"))
    for name in of_kind("Deployment"):
        whole, own = pod(name)["securityContext"], container(name)["securityContext"]
        assert whole["runAsNonRoot"] and whole["fsGroup"] == whole["runAsUser"]
        assert own == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert pod(name)["automountServiceAccountToken"] is False
        if name != "redis":
            assert whole["runAsUser"] == int(user)
            assert {mount["mountPath"] for mount in container(name)["volumeMounts"]} == {"/data", "/tmp"}


def test_every_pod_has_resources_and_time_to_stop() -> None:
    wanted = max(int(service["stop_grace_period"][:-1]) for service in compose()["services"].values())
    for name in of_kind("Deployment"):
        needs = container(name)["resources"]
        assert {"cpu", "memory"} <= needs["requests"].keys()
        assert size(needs["limits"]["memory"]) >= size(needs["requests"]["memory"])
        assert pod(name)["terminationGracePeriodSeconds"] >= wanted


def size(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


def test_redis_may_use_twice_the_memory_of_its_records() -> None:
    words = container("redis")["command"][-1].split()
    records = int(words[words.index("--maxmemory") + 1])
    assert size(container("redis")["resources"]["limits"]["memory"]) >= 2 * records


def test_redis_has_the_options_of_the_compose_file() -> None:
    """Given its command, Then it has those options, and no password among the arguments."""
    _, *expected = compose()["services"]["redis"]["command"]
    shell, _, script = container("redis")["command"]
    assert shell == "sh"
    first, *given = script.splitlines()
    assert given == ["requirepass $REDIS_PASSWORD", "END"]
    words = [word.strip("'") for word in first.removesuffix(" <<END").split()]
    assert words[:5] == ["exec", "redis-server", "-", "--dir", "/data"]
    assert dict(zip(words[5::2], words[6::2], strict=True)) == dict(zip(expected[::2], expected[1::2], strict=True))
    (variable,) = container("redis")["env"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "darkroom", "key": "REDIS_PASSWORD"}


def test_one_redis_writes_to_its_volume() -> None:
    spec = of_kind("Deployment")["redis"]["spec"]
    assert spec["replicas"] == 1 and spec["strategy"] == {"type": "Recreate"}
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in pod("redis")["volumes"]}
    assert claims == of_kind("PersistentVolumeClaim").keys()
    assert container("redis")["volumeMounts"] == [{"name": "redis", "mountPath": "/data"}]


def test_every_selector_finds_pods() -> None:
    for name, each in of_kind("Deployment").items():
        assert each["spec"]["selector"]["matchLabels"].items() <= labels(name).items()
    for name, each in of_kind("Service").items():
        assert each["spec"]["selector"].items() <= labels(name).items()
        (port,) = each["spec"]["ports"]
        assert port["targetPort"] in {one["name"] for one in container(name)["ports"]}
    for name, each in of_kind("PodDisruptionBudget").items():
        assert each["spec"]["selector"]["matchLabels"].items() <= labels(name).items()
    (rule,) = of_kind("NetworkPolicy")["redis"]["spec"]["ingress"]
    (source,) = rule["from"]
    assert all(source["podSelector"]["matchLabels"].items() <= labels(name).items() for name in ours())


def test_a_budget_never_stops_a_drain() -> None:
    budgets = of_kind("PodDisruptionBudget")
    assert budgets.keys() == {"web", "classify-interactive", "classify-bulk"}
    assert all(each["spec"]["maxUnavailable"] == 1 for each in budgets.values())


def test_the_probes_ask_what_exists(settings: Settings, tmp_path: Path) -> None:
    services = Services.build(Settings(redis_url="redis://127.0.0.1:1/0", data_dir=tmp_path), web_patience(1))
    paths = {rule.rule for rule in create_app(services).url_map.iter_rules()}
    services.close()
    web = container("web")
    assert web["ports"] == [{"name": "http", "containerPort": settings.port}]
    assert str(settings.port) in arguments("EXPOSE")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert web[probe]["httpGet"]["port"] == "http"
        assert web[probe]["httpGet"]["path"] in paths
    about = of_kind("Deployment")["web"]["spec"]["template"]["metadata"]["annotations"]
    assert about["prometheus.io/path"] in paths
    assert about["prometheus.io/port"] == str(settings.port)


def test_workers_scale_by_metrics_that_exist(services: Services) -> None:
    scaling = of_kind("ScaledObject")["classify-bulk"]["spec"]
    assert scaling["scaleTargetRef"]["name"] in ours()
    assert 1 <= scaling["minReplicaCount"] < scaling["maxReplicaCount"]
    found = {(family.name, sample.labels.get("queue")) for family in ServiceCollector(services).collect()
             for sample in family.samples}  # fmt: skip
    queries = [trigger["metadata"]["query"] for trigger in scaling["triggers"]]
    for query in queries:
        parts = re.fullmatch(r'max\((\w+)\{queue="(\w+)"\}\)', query)
        assert parts and parts.groups() in found, query
    assert len(set(queries)) == 2
