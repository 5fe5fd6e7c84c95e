"""A Head on the shipped Backbone is a complete version, and is served from the Backbone in memory."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.domain.card import CARD_FILE, HEAD_FILE, MODEL_FILE, OPENVINO_FILE, ModelCard
from shared.models.registry import SHIPPED, Registry
from tests.conftest import ROOT
from tests.fixtures import odd
from worker.data.decode import decode
from worker.heads.fit import FittedHead, fit_head
from worker.publishing.publish import Provenance
from worker.publishing.publish_head import publish_head
from worker.serving import openvino_runtime
from worker.serving.backbone import Backbone, Backbones, find_backbone
from worker.serving.models import ModelCache, ModelUnusable

LABELS = ("stripes", "discs", "never seen")


def pictures(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pictures of stripes and of discs, in turns, with noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:224, :224]
    labels = np.arange(count) % 2
    shapes = []
    for label in labels:
        period, shift = rng.uniform(14, 40), rng.uniform(0, 40)
        waves = np.sin((x + shift) / period * 6.3) * (np.sin((y + shift) / period * 6.3) if label else 1)
        shapes.append(127 + 90 * np.sign(waves)[..., None] * rng.uniform(0.3, 1, 3) + rng.normal(0, 9, (224, 224, 1)))
    return np.stack(shapes).clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    registry = Registry()
    return Backbones(registry, 2).get(find_backbone(registry).version)


@pytest.fixture(scope="module")
def fitted(backbone: Backbone) -> FittedHead:
    images, labels = pictures(24, seed=1)
    return fit_head(backbone.embed(images), labels, len(LABELS))


@pytest.fixture(scope="module")
def folder(fitted: FittedHead, backbone: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the shipped Backbone and the published version."""
    out = tmp_path_factory.mktemp("models")
    (out / backbone.version).symlink_to(SHIPPED / backbone.version)
    provenance = Provenance(preset="head", params={}, labels=LABELS, owner="me", classifier="shapes")
    publish_head(fitted.head, backbone, Registry(), provenance, out, unknown=fitted.unknown)
    return out


@pytest.fixture(scope="module")
def version(folder: Path) -> str:
    return next(path.name for path in folder.iterdir() if path.name.startswith("head-"))


def test_the_card_names_the_backbone_and_every_file(folder: Path, version: str, backbone: Backbone) -> None:
    card = ModelCard.read(folder / version / CARD_FILE)
    assert card.backbone is not None
    assert (card.backbone.version, card.backbone.openvino_sha256) == (backbone.version, backbone.card.openvino_sha256)
    assert (card.labels, card.classifier, card.owner) == (LABELS, "shapes", "me")
    assert {path.name for path in (folder / version).iterdir()} == {MODEL_FILE, OPENVINO_FILE, HEAD_FILE, CARD_FILE}


def test_it_answers_the_same_in_every_form(folder: Path, version: str) -> None:
    """Served from the Backbone, as a whole in OpenVINO, and as a whole in Keras, in its own process for its threads."""
    images, labels = pictures(8, seed=2)
    served = ModelCache(Registry(folder), 2).get(version).answer(images)
    np.testing.assert_array_equal(served.probabilities.argmax(axis=1), labels)
    np.testing.assert_allclose(
        openvino_runtime.load(folder / version / OPENVINO_FILE, 2)(images), served.probabilities, atol=1e-3
    )
    np.save(folder / "images.npy", images)
    code = (
        "import sys, json, keras, numpy\n"
        "model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)\n"
        "print(json.dumps(model.predict(numpy.load(sys.argv[2]), verbose=0).tolist()))"
    )
    command = [sys.executable, "-c", code, str(folder / version / MODEL_FILE), str(folder / "images.npy")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    np.testing.assert_allclose(json.loads(answer.stdout.splitlines()[-1]), served.probabilities, atol=1e-3)


def test_it_answers_the_same_when_it_is_exported(
    folder: Path, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the program in the zip, on odd pictures; in its own process, which loads TensorFlow."""
    zipped = tmp_path / "export.zip"
    command = [sys.executable, "-m", "worker.exporting", folder / version, "--format=openvino", f"--out={zipped}"]
    subprocess.run(command, cwd=ROOT, check=True)
    zipfile.ZipFile(zipped).extractall(tmp_path)
    monkeypatch.setattr(sys, "argv", ["predict.py"])
    predict = runpy.run_path(str(tmp_path / "predict.py"))["predict"]
    model, unknown = ModelCache(Registry(folder), 2).get(version), set()
    assert model.card.unknown
    for name in ("turned.jpg", "cmyk.jpg", "grey16.png", "rgba.png", "line.png", "photo.jpg"):
        content = odd.PICTURES[name]()
        (tmp_path / name).write_bytes(content)
        served = model.answer(decode(content, 224, 224, 10**7)[None])
        assert served.novelty is not None
        scores, is_unknown = predict(tmp_path / name)
        np.testing.assert_allclose(scores, served.probabilities[0], atol=0.01, err_msg=name)
        assert is_unknown == model.card.unknown.covers(float(served.probabilities.max()), float(served.novelty[0])), (
            name
        )
        unknown.add(is_unknown)
    assert True in unknown


def test_novelty_tells_strange_pictures(folder: Path, version: str) -> None:
    model = ModelCache(Registry(folder), 2).get(version)
    rule, known = model.card.unknown, model.answer(pictures(6, seed=3)[0])
    strange = model.answer(np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8))
    assert rule is not None and known.novelty is not None and strange.novelty is not None
    assert known.novelty.max() < strange.novelty.min()
    assert all(rule.covers(0.99, float(novelty)) for novelty in strange.novelty)


def test_the_backbone_is_in_memory_once(folder: Path, version: str, backbone: Backbone) -> None:
    cache = ModelCache(Registry(folder), 2)
    images, _ = pictures(2, seed=4)
    own = cache.get(backbone.version).answer(images)
    assert cache.get(version).answer(images).probabilities.shape == (2, len(LABELS))
    assert cache.get(version).locate(images[0], 0).shape == (7, 7)  # of the feature maps: by occlusion it has 6 × 6
    assert cache.backbones.get(backbone.version) is cache.backbones.get(backbone.version)
    np.testing.assert_array_equal(own.probabilities, cache.backbones.get(backbone.version).network.classify(images))
    assert own.novelty is None


def test_a_missing_backbone_is_named(folder: Path, version: str, backbone: Backbone, tmp_path: Path) -> None:
    (tmp_path / version).symlink_to(folder / version)
    with pytest.raises(ModelUnusable, match=backbone.version):
        ModelCache(Registry(tmp_path), 2).get(version)
    with pytest.raises(ModelUnusable, match="no Backbone"):
        find_backbone(Registry(tmp_path))


def test_publishing_a_head_loads_no_tensorflow() -> None:
    code = "import sys, worker.publishing.publish_head, worker.heads.fit; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_everyday_has_a_thousand_names(backbone: Backbone) -> None:
    labels = backbone.card.labels
    assert len(set(labels)) == len(labels) == 1000
    assert {"tabby cat", "banana", "laptop computer"} <= set(labels)
