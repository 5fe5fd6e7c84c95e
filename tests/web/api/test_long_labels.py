"""Corrections with labels and keys of the greatest length, over the app."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from shared.datasets.names import MAX_LABEL
from shared.domain.entities import JobKind
from shared.services import Services
from tests.shared.datasets.kit import DatasetKit
from tests.shared.kit import RINGS, sure, upload
from tests.versions_kit import version_folder
from tests.web.api.kit import Caller
from web.api.labels import MAX_LABELS

#: A character that JSON may spell with twelve.
CAT = "\N{CAT FACE}"


@pytest.fixture
def people() -> dict[str, str]:
    return {"ann": "submit"}


def test_every_label_of_a_dataset_can_be_corrected_to(
    app: Flask, parts: Services, kit: DatasetKit, tmp_path: Path
) -> None:
    labels = [CAT * MAX_LABEL, "x" * MAX_LABEL, "pear"]
    folder = version_folder(
        tmp_path, labels=labels, owner="ann", classifier="fruit", metrics=None, calibration=None, dataset=None
    )
    job = parts.store.create(
        JobKind.CLASSIFICATION, owner="ann", retention_s=3600, model=parts.registry.publish(folder).version
    )
    keys = [f"{number:0128}" for number in range(MAX_LABELS)]
    parts.store.add(job, [upload(key) for key in keys], len(keys))
    while chunk := kit.jobs.chunks.claim("worker", RINGS):
        assert kit.jobs.chunks.commit(chunk, {each.key: sure(index=1) for each in chunk.uploads})
    ann = Caller(app, "ann", f"/v1/jobs/{job}")
    one = ann("PUT", f"/items/{keys[0]}/label", json={"label": labels[0]})
    assert one.json["corrected_label"] == labels[0]
    assert len(ann("POST", "/labels", json={"labels": dict.fromkeys(keys, labels[0])}).json["data"]) == MAX_LABELS
    assert ann("GET", "/labels").json["data"][0]["corrected"] == MAX_LABELS
