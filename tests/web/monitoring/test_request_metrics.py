"""`/metrics` while Redis is unreachable: keys cannot be checked, and the scrape must report the outage."""

from __future__ import annotations

from pathlib import Path

from shared.services import Services
from shared.settings import load_settings
from tests.keys_kit import SETTINGS
from web.app import create_app


def test_without_redis_no_metrics_of_jobs_are_returned(tmp_path: Path) -> None:
    keys = {f"DARKROOM_{name.upper()}": value for name, value in SETTINGS.items()}
    places = {"DARKROOM_REDIS_URL": "redis://127.0.0.1:1/0", "DARKROOM_DATA_DIR": str(tmp_path)}
    services = Services.build(load_settings(keys | places))
    client = create_app(services).test_client()
    assert client.get("/v1/jobs").status_code == 503
    told = client.get("/metrics").text.splitlines()
    services.close()
    assert "darkroom_redis_up 0.0" in told
    assert any(
        line.startswith('darkroom_http_requests_total{method="GET",route="/v1/jobs",status="503"}') for line in told
    )
    own = {line.split(" ")[2] for line in told if line.startswith("# TYPE")}
    assert own - {"darkroom_redis_up", "darkroom_disk_free_bytes"} and not any(
        word in name for name in own for word in ("items", "jobs", "champion", "training", "queue", "worker")
    )
