"""`darkroom train` and `darkroom models`, with a training that is run to its end."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cli.kit import darkroom
from tests.conftest import Service
from tests.versions_kit import services_of, shipped


def test_a_training_is_followed_and_its_version_compared(training_service: Service, tmp_path: Path) -> None:
    url = training_service.url
    with services_of(training_service):  # which removes the version
        words = ["train", "--preset", "seed", "--epochs", "2", "--first-filters", "4", "--watch"]
        trained = darkroom(url, tmp_path, *words)
        head, *lines = trained.stdout.splitlines()
        assert re.split("  +", head) == ["EPOCH", "LOSS", "ACCURACY", "VAL LOSS", "VAL ACCURACY", "IMAGES/S"]
        assert [line.split()[0] for line in lines[:2]] == ["1", "2"]
        (version,) = re.fullmatch(r"(seed-\S+): test accuracy 0\.\d{4}\. .+", lines[-1]).groups()
        assert trained.returncode == 0 and trained.stderr == ""

        found = darkroom(url, tmp_path, "models", "compare", shipped(), version)
        assert f"{version} against {shipped()}" in found.stdout
        words = ["jobs", "list", "--kind", "training", "--limit", "1", "-o", "ndjson"]
        job = json.loads(darkroom(url, tmp_path, *words).stdout)
        document = json.loads(darkroom(url, tmp_path, "jobs", "watch", job["id"], "-o", "json").stdout)
    assert document["job"]["model"] == version and document["metrics"][-1]["epoch"] == 2
