"""Loading of published models: results equal those of Keras, and an unusable model is detected when it is loaded."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from shared.domain.card import CARD_FILE, MODEL_FILE, OPENVINO_FILE
from shared.models.registry import SHIPPED, Registry
from worker import hardware
from worker.evaluation import evaluate
from worker.serving import openvino_runtime
from worker.serving.forward import tta_threshold, with_tta
from worker.serving.models import ModelCache, ModelUnusable, memory_of


@pytest.fixture(scope="module")
def shipped() -> Path:
    """Return the folder of the shipped model."""
    registry = Registry()
    return SHIPPED / registry.champion().version


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


def publish(
    shipped: Path, folder: Path, content: bytes | None = None, exported: bytes | None = None, **changes: Any
) -> str:
    """Publish a copy of the shipped model with changed files or card entries, and matching digests.

    With a changed `content` for Keras but no `exported` file, the version has no OpenVINO file.
    """
    card = json.loads((shipped / CARD_FILE).read_text())
    files = {MODEL_FILE: content or (shipped / MODEL_FILE).read_bytes()}
    if exported or not content:
        files[OPENVINO_FILE] = exported or (shipped / OPENVINO_FILE).read_bytes()
    digests = {name: hashlib.sha256(file).hexdigest() for name, file in files.items()}
    card |= {"file_sha256": digests[MODEL_FILE], "openvino_sha256": digests.get(OPENVINO_FILE)}
    card["version"] = f"copy-20260101-{digests[MODEL_FILE][:8]}"
    card |= changes
    target = folder / card["version"]
    target.mkdir()
    for name, file in files.items():
        (target / name).write_bytes(file)
    (target / CARD_FILE).write_text(json.dumps(card))
    return str(card["version"])


def blank(count: int) -> np.ndarray:
    return np.zeros((count, 32, 32, 3), np.uint8)


@pytest.fixture(params=[OPENVINO_FILE, MODEL_FILE])
def served_file(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the file that is served: the Keras file on a GPU."""
    monkeypatch.setattr(hardware, "may_have_gpu", lambda: request.param == MODEL_FILE)
    return str(request.param)


@pytest.mark.usefixtures("served_file")
def test_results_equal_those_of_keras(threads: int) -> None:
    registry = Registry()
    version = registry.champion().version
    images = np.random.default_rng(3).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)
    answer = ModelCache(registry, threads).get(version).forward(images)
    model = keras.models.load_model(registry.model_file(version), compile=False)
    below = tta_threshold(registry.card(version).views)
    expected = with_tta(lambda batch: evaluate.predict(model, batch), below)(images)
    assert (answer.dtype, answer.shape) == (np.float32, (7, 10))
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


def test_a_version_without_an_openvino_file_is_served_by_keras(shipped: Path, tmp_path: Path, threads: int) -> None:
    version = publish(shipped, tmp_path, (shipped / MODEL_FILE).read_bytes())
    assert not (tmp_path / version / OPENVINO_FILE).exists()
    ours, shipped_one = (
        ModelCache(Registry(folder), threads).get(name)
        for folder, name in ((tmp_path, version), (SHIPPED, shipped.name))
    )
    images = np.random.default_rng(3).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(ours.forward(images), shipped_one.forward(images), atol=1e-5)


@pytest.fixture
def versions(shipped: Path, tmp_path: Path) -> list[str]:
    """Publish three versions with the shipped network."""
    digest = hashlib.sha256((shipped / MODEL_FILE).read_bytes()).hexdigest()[:8]
    return [publish(shipped, tmp_path, preset=f"p{n}", version=f"p{n}-20260101-{digest}") for n in range(3)]


def two_models(registry: Registry, versions: list[str]) -> int:
    """Return a budget of memory for two models."""
    return 2 * memory_of(registry.card(versions[0]))


def test_models_are_loaded_once_and_evicted_by_last_use(registry: Registry, versions: list[str], threads: int) -> None:
    models = ModelCache(registry, threads, two_models(registry, versions))
    loaded = {version: models.get(version) for version in versions[:2]}
    assert all(models.get(version) is loaded[version] for version in versions[:2])
    models.get(versions[0])
    models.get(versions[2])  # evicts the least recently used
    assert models.get(versions[0]) is loaded[versions[0]]
    assert models.get(versions[1]) is not loaded[versions[1]]


def test_what_is_kept_is_not_evicted(registry: Registry, versions: list[str], threads: int) -> None:
    models = ModelCache(registry, threads, two_models(registry, versions))
    models.keep(versions[:1])
    champion = models.get(versions[0])
    for version in (*versions[1:], *versions[1:]):
        models.get(version)
    assert models.get(versions[0]) is champion
    models.keep(versions[1:2])
    models.get(versions[1])
    models.get(versions[2])
    assert models.get(versions[0]) is not champion


def test_one_model_is_held_beyond_the_budget(registry: Registry, versions: list[str], threads: int) -> None:
    models = ModelCache(registry, threads, 1)
    first = models.get(versions[0])
    assert models.get(versions[0]) is first
    models.get(versions[1])
    assert models.get(versions[0]) is not first


def test_the_estimate_of_a_model_s_memory_fits_what_was_measured() -> None:
    """A network of preset `fast` takes 44 MiB, and an EfficientNet-Lite0 for 224 x 224 pixels 317."""
    card = next(card for card in Registry().versions() if card.preset == "fast")
    large = card.model_copy(
        update={
            "input": card.input.model_copy(update={"height": 224, "width": 224}),
            "size": card.size.model_copy(update={"file_bytes": 18_800_000}),
        }
    )
    assert [memory_of(each) / 2**20 for each in (card, large)] == pytest.approx([44, 317], rel=0.1)


def test_concurrent_requests_load_a_model_once(
    registry: Registry, versions: list[str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, real_load = [], openvino_runtime.load_network
    monkeypatch.setattr(openvino_runtime, "load_network", lambda *args: (loads.append(1), real_load(*args))[1])
    models, together = ModelCache(registry, threads), threading.Barrier(6)

    def ask(_: int) -> object:
        together.wait()
        return models.get(versions[0])

    with ThreadPoolExecutor(6) as pool:
        assert len({id(model) for model in pool.map(ask, range(6))}) == 1
    assert len(loads) == 1


def test_other_versions_serve_while_one_is_loaded(
    registry: Registry, versions: list[str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a load in progress, Then the lock is free, and a thread that waits for that version gets it."""
    models = ModelCache(registry, threads, two_models(registry, versions))
    models.get(versions[0])
    begun, go_on, real_load = threading.Event(), threading.Event(), openvino_runtime.load_network

    def slow(*args: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return real_load(*args)

    monkeypatch.setattr(openvino_runtime, "load_network", slow)
    with ThreadPoolExecutor(2) as pool:
        preload = pool.submit(models.get, versions[1])
        assert begun.wait(30)
        waiting = pool.submit(models.get, versions[1])
        assert models.get(versions[0]).forward(blank(1)).shape == (1, 10)
        assert not preload.done() and not waiting.done()
        go_on.set()
        assert waiting.result(30) is models.get(versions[1])
        assert preload.result(30) is waiting.result()


def test_an_unusable_model_raises_in_every_waiting_thread(
    shipped: Path, registry: Registry, tmp_path: Path, threads: int
) -> None:
    bad = publish(shipped, tmp_path, b"nothing")
    models = ModelCache(registry, threads)
    with ThreadPoolExecutor(4) as pool:
        for asked in [pool.submit(models.get, bad) for _ in range(4)]:
            with pytest.raises(ModelUnusable, match=bad):
                asked.result(30)


def test_an_unknown_version_is_unusable(registry: Registry, threads: int) -> None:
    for version in ("nothing-20260101-00000000", "../models", ".hidden"):
        with pytest.raises(ModelUnusable, match="model"):
            ModelCache(registry, threads).get(version)


@pytest.mark.parametrize("damage", ["one bit", "cut short", "empty", "gone", "another file that can be loaded"])
def test_a_damaged_file_is_unusable(shipped: Path, tmp_path: Path, threads: int, served_file: str, damage: str) -> None:
    version = publish(shipped, tmp_path)
    file = tmp_path / version / served_file
    content = bytearray(file.read_bytes())
    if damage == "one bit":
        content[len(content) // 2] ^= 1
    file.write_bytes({"cut short": content[:1000], "empty": b""}.get(damage, content))
    if damage == "gone":
        file.unlink()
    if damage == "another file that can be loaded":
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b"not what was published"
    with pytest.raises(ModelUnusable, match=version):
        ModelCache(Registry(tmp_path), threads).get(version)


@pytest.mark.parametrize("content", ["no archive", "cut archive", "another archive", "broken weights"])
def test_a_file_that_cannot_be_loaded_is_unusable(
    shipped: Path, tmp_path: Path, threads: int, served_file: str, content: str
) -> None:
    real = (shipped / served_file).read_bytes()
    middle = len(real) // 2
    contents = {
        "no archive": b"not weights",
        "cut archive": real[:middle],
        "another archive": _zipped(tmp_path),
        "broken weights": real[:middle] + bytes(2000) + real[middle + 2000 :],
    }
    place = "content" if served_file == MODEL_FILE else "exported"
    version = publish(shipped, tmp_path, **{place: contents[content]})
    with pytest.raises(ModelUnusable, match=version):
        ModelCache(Registry(tmp_path), threads).get(version)


def _zipped(tmp_path: Path) -> bytes:
    folder = tmp_path / ".zipped"
    folder.mkdir()
    (folder / "readme.txt").write_text("no model")
    return Path(shutil.make_archive(str(tmp_path / ".archive"), "zip", folder)).read_bytes()


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"version": 3}'])
def test_a_damaged_card_is_unusable(shipped: Path, registry: Registry, tmp_path: Path, threads: int, text: str) -> None:
    version = publish(shipped, tmp_path)
    (tmp_path / version / CARD_FILE).write_text(text)
    with pytest.raises(ModelUnusable, match=version):
        ModelCache(registry, threads).get(version)


def test_a_card_with_another_image_size_is_unusable(
    shipped: Path, registry: Registry, tmp_path: Path, threads: int
) -> None:
    version = publish(shipped, tmp_path, input={"height": 48, "width": 48, "channels": 3})
    with pytest.raises(ModelUnusable, match=version):
        ModelCache(registry, threads).get(version)


def test_a_card_with_other_labels_is_unusable(shipped: Path, registry: Registry, tmp_path: Path, threads: int) -> None:
    card = json.loads((shipped / CARD_FILE).read_text())
    metrics = card["metrics"] | {
        "per_class": card["metrics"]["per_class"][:9],
        "confusion_matrix": [row[:9] for row in card["metrics"]["confusion_matrix"][:9]],
    }
    version = publish(shipped, tmp_path, labels=card["labels"][:9], metrics=metrics)
    with pytest.raises(ModelUnusable, match=r"10.* values for 9 labels"):
        ModelCache(registry, threads).get(version)


def test_a_good_model_loads_after_an_unusable_one(
    shipped: Path, registry: Registry, tmp_path: Path, threads: int
) -> None:
    bad, good = publish(shipped, tmp_path, b"nothing"), publish(shipped, tmp_path)
    models = ModelCache(registry, threads)
    with pytest.raises(ModelUnusable):
        models.get(bad)
    assert models.get(good).forward(blank(1)).shape == (1, 10)
