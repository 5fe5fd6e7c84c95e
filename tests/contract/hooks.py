"""Hooks for schemathesis: real pictures, short waits, and no undocumented fields."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import schemathesis
from hypothesis import strategies as st

from shared.datasets.names import NAME_PATTERN
from shared.domain.entities import JOB_ID_PATTERN
from tests.conftest import NO_TLS
from tests.fixtures import make
from tests.integration.helpers import zip_of

PICTURES = [path.read_bytes() for path in sorted(make.CIFAR10.glob("*.png"))[:4]]
ARCHIVE = zip_of(*((f"{number}.png", picture) for number, picture in enumerate(PICTURES)))
#: Most are valid, so that calls after an upload are reached too.
FILES = st.sampled_from([*PICTURES, *PICTURES, ARCHIVE, PICTURES[0][:40], b"", b"text"])

schemathesis.openapi.format("binary", FILES)
schemathesis.openapi.media_type("image/*", FILES, aliases=["application/octet-stream"])
schemathesis.openapi.media_type(
    "application/zip",
    FILES,
    aliases=["application/x-zip-compressed", "application/gzip", "application/x-gzip", "application/x-tar"],
)
#: Seconds for calls with the parameter `wait`. Most wait in vain.
WAIT_S = 0.2
#: The dataset with pictures, to which half of the calls go; a picture of it, and those that can be deleted once.
DATASET, PICTURE, SPARE_PICTURES = "schema", "10", map(str, range(11, 40))
#: Calls that need an open job, which random data never hits.
FILLING = {"POST /v1/jobs/{job_id}/items", "PUT /v1/jobs/{job_id}/items/{key}"}


@schemathesis.hook
def before_load_schema(_context: Any, raw_schema: dict[str, Any]) -> None:
    """Forbid undocumented fields, although clients must expect new ones."""
    for schema in raw_schema["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: dict[str, Any]) -> None:
    """Shorten waits, prefer to wait in some calls, open a job for calls that fill one, and use a filled dataset."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and WAIT_S < wait <= 30:
        case.query["wait"] = WAIT_S
    if "Prefer" in (case.headers or {}) and len(str(case.headers["Prefer"])) % 2:
        case.headers["Prefer"] = "wait=1"  # a whole number
    if isinstance(case.body, dict) and case.body.get("kind") == "training":
        case.body["params"] = {"preset": "none"}  # 422: a real one takes minutes
    parameters = case.path_parameters or {}
    if case.operation.label != "DELETE /v1/datasets/{dataset}":
        point_to_dataset(parameters, deletes=case.method == "DELETE")
    elif parameters["dataset"] == DATASET:
        parameters["dataset"] = spare_dataset(case.operation.base_url)
    if case.operation.label in FILLING and JOB_ID_PATTERN.fullmatch(str(case.path_parameters.get("job_id"))):
        case.path_parameters["job_id"] = open_job(case.operation.base_url)


def point_to_dataset(parameters: dict[str, Any], *, deletes: bool) -> None:
    """Let half of the valid calls go to the dataset with pictures, to a picture and a label that it has."""
    name, number = str(parameters.get("dataset")), str(parameters.get("number", 1))
    if len(name) % 2 and NAME_PATTERN.fullmatch(name) and re.fullmatch("[1-9][0-9]{0,9}", number):
        parameters["dataset"] = DATASET
        if "number" in parameters:
            parameters["number"] = next(SPARE_PICTURES, PICTURE) if deletes else PICTURE
        if parameters.get("label"):
            parameters["label"] = "spare" if deletes else "cat"


def spare_dataset(url: str) -> str:
    answer = httpx.post(f"{url}/v1/datasets", json={"name": "spare"}, trust_env=False, verify=NO_TLS)
    return str(answer.raise_for_status().json()["name"])


def open_job(url: str) -> str:
    answer = httpx.post(f"{url}/v1/jobs", json={}, trust_env=False, verify=NO_TLS)
    return str(answer.raise_for_status().json()["id"])


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Send metadata as JSON, and keys that match the files; no archive as a model, which takes seconds to read."""
    if isinstance(body, dict):
        if isinstance(body.get("metadata"), str):
            body["metadata"] = json.dumps(body["metadata"])
        if isinstance(body.get("keys"), str) and isinstance(body.get("files"), list):
            body["keys"] = json.dumps([str(number) for number in range(len(body["files"]))])
        if context.operation.path == "/v1/models" and body.get("file") == ARCHIVE:
            body["file"] = b"text"
    return body
