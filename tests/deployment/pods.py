"""The Kubernetes manifests, run by podman: `./darkroom test --pods`.

Starts an S3, and Redis, every program, the ConfigMap, a new Secret and the volume as they are in `deploy/kubernetes`;
classifies, trains, and kills the container of each pod in the middle of a job. Only the addresses of Redis and S3
differ from a cluster's, and each pod has volumes of other names, since podman would share them. There is one pod of
each Deployment, and no Service, probe, budget or limit, which podman lacks. Needs podman and the images of
`docker-compose.yml`; no other pods of the same names may exist.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from cli.stack.embedded_redis import free_port
from tests.conftest import ROOT, wait_until
from tests.deployment.stack import PATIENCE_S, Stack, try_all
from tests.faults.kit import PatientClient
from tests.faults.site import is_listening, s3

FOLDER, BUCKET = ROOT / "deploy" / "kubernetes", "darkroom"
#: What podman can run, in an order that it can.
KINDS = ("ConfigMap", "PersistentVolumeClaim", "Deployment")
#: How containers reach this machine, and what podman adds to the name of a Deployment for its pod.
HOST, POD = "host.containers.internal", "-pod-0"

Resource = dict[str, Any]


@dataclass(frozen=True)
class Pods(Stack):
    """The pods of the manifests."""

    def container(self, service: str) -> str:
        """Return the name of the container in a Deployment's pod."""
        return f"{service}{POD}-{service}"

    def process(self, service: str) -> int:
        """Return the first process of that container, as this machine numbers it; 0 while it does not run."""
        return int(self.run("inspect", "--format", "{{.State.Pid}}", self.container(service)))

    def kill(self, service: str) -> None:
        """Kill a container; podman starts it again, as a kubelet does. After `podman kill`, it would not."""
        process = self.process(service)
        os.kill(process, signal.SIGKILL)
        wait_until(lambda: self.process(service) not in (0, process), f"{service} runs again", PATIENCE_S)


def manifests(storage_port: int, port: int) -> list[Resource]:
    """Return the resources for podman. `port` is that of `web` on this machine."""
    names = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]
    found = [each for name in names for each in yaml.safe_load_all((FOLDER / name).read_text())]
    for each in found:
        if each["kind"] == "ConfigMap":
            each["data"] |= {"AWS_ENDPOINT_URL": f"http://{HOST}:{storage_port}", "AWS_ALLOW_HTTP": "true"}
            each["data"]["DARKROOM_CIFAR10"] = "/data/cifar10.npz"
        if each["kind"] == "Deployment":
            each["spec"]["replicas"] = 1
            adapt(each["metadata"]["name"], each["spec"]["template"]["spec"], port)
    return sorted((each for each in found if each["kind"] in KINDS), key=lambda each: KINDS.index(each["kind"]))


def adapt(name: str, pod: Resource, port: int) -> None:
    """Change what podman does not have."""
    (container,) = pod["containers"]
    if name == "redis":  # there is no fsGroup: the volume belongs to the image's own user
        pod["securityContext"] |= dict(zip(("runAsUser", "runAsGroup"), redis_user(container["image"]), strict=True))
        return
    for each in (*pod["volumes"], *container["volumeMounts"]):  # an emptyDir is shared by all pods that name it
        each["name"] = f"{name}-{each['name']}"
    if name == "web":
        container["ports"][0]["hostPort"] = port


def redis_user(image: str) -> tuple[int, int]:
    """Return the numbers of the user and the group of Redis in an image."""
    words = ["podman", "run", "--rm", "--entrypoint", "sh", image, "-c", "id -u redis; id -g redis"]
    user, group = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return int(user), int(group)


@contextmanager
def secret(folder: Path) -> Iterator[str]:
    """Let podman have the Secret that the script makes, in podman's form, and yield the key of the first user."""
    script = shutil.copy(FOLDER / "secret.sh", folder)
    key = subprocess.run([script], check=True, capture_output=True, text=True).stdout.strip()
    lines = (folder / "secret.env").read_text().replace("@redis:", f"@redis{POD}:").splitlines()
    values = dict(line.split("=", 1) for line in lines)
    values |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    encoded = json.dumps({name: base64.b64encode(value.encode()).decode() for name, value in values.items()})
    subprocess.run(["podman", "secret", "create", "darkroom", "-"], input=encoded, check=True, text=True)
    try:
        yield key
    finally:
        subprocess.run(["podman", "secret", "rm", "darkroom"], check=True)


@contextmanager
def running_s3() -> Iterator[int]:
    """Run an S3 with an empty bucket on all addresses, and yield its port."""
    port = free_port()
    words = [sys.executable, "-m", "moto.server", "--host", "0.0.0.0", "--port", str(port)]
    # It would take the first part of HOST for a bucket.
    environment = {**os.environ, "S3_IGNORE_SUBDOMAIN_BUCKETNAME": "true"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(words, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            wait_until(lambda: is_listening(port), "S3 answers")
            s3(port).create_bucket(Bucket=BUCKET)
            yield port
        finally:
            process.kill()


@contextmanager
def running_pods() -> Iterator[Pods]:
    """Play the manifests, and remove everything at the end."""
    with tempfile.TemporaryDirectory() as name, running_s3() as storage_port, secret(Path(name)) as key:
        file, port = Path(name) / "all.yaml", free_port()
        file.write_text(yaml.safe_dump_all(manifests(storage_port, port)))
        headers = {"Authorization": f"Bearer {key}"}
        with PatientClient(base_url=f"http://127.0.0.1:{port}", timeout=60, headers=headers) as http:
            pods = Pods("podman", http)
            try:
                # In its folder: it builds an image from a folder of the image's name.
                subprocess.run(["podman", "kube", "play", file], check=True, cwd=name, stdout=subprocess.DEVNULL)
                wait_until(pods.is_ready, "the pods are ready", PATIENCE_S)
                yield pods
            finally:
                remove(file)


def remove(file: Path) -> None:
    """Remove the pods and their volumes."""
    subprocess.run(["podman", "kube", "play", "--down", file], check=False, capture_output=True)
    volumes = [volume["name"] for each in yaml.safe_load_all(file.read_text()) if each["kind"] == "Deployment"
               for volume in each["spec"]["template"]["spec"]["volumes"]]  # fmt: skip
    subprocess.run(["podman", "volume", "rm", "--force", *volumes], check=False, capture_output=True)


def main() -> None:
    """Run all steps, and print each."""
    if shutil.which("podman") is None:
        sys.exit("podman is not installed, so the pods cannot be run.")
    with running_pods() as pods:
        try_all(pods)
        workers = {queue["name"]: queue["workers"] for queue in pods.http.get("/v1/queues").json()["data"]}
        assert all(workers.values()), workers
        assert httpx.get(f"{pods.http.base_url}/v1/queues").status_code == httpx.codes.UNAUTHORIZED


if __name__ == "__main__":
    main()
