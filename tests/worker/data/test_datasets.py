import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest, NotFound
from worker.data import datasets

Arrays = dict[str, Any]


@pytest.fixture
def arrays() -> Arrays:
    generator = np.random.default_rng(3)
    return {
        "x_train": generator.integers(0, 256, (500, 32, 32, 3), dtype=np.uint8),
        "y_train": np.tile(np.arange(10, dtype=np.uint8), 50),
        "x_test": generator.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8),
        "y_test": np.tile(np.arange(10, dtype=np.uint8), 2),
    }


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "images.npz"
    monkeypatch.setenv(datasets.CIFAR10_SETTING, str(path))
    return path


def test_the_validation_images_are_taken_from_the_training_images(arrays: Arrays, source: Path) -> None:
    np.savez(source, **arrays)
    dataset = datasets.load_cifar10()
    assert [len(part) for part in (dataset.x_train, dataset.x_val, dataset.x_test)] == [480, 20, 20]
    assert np.bincount(dataset.y_val).tolist() == [2] * 10
    together = {image.tobytes() for image in (*dataset.x_train, *dataset.x_val)}
    assert together == {image.tobytes() for image in arrays["x_train"]}
    np.testing.assert_array_equal(dataset.x_test, arrays["x_test"])
    np.testing.assert_array_equal(dataset.y_test, arrays["y_test"])


def test_images_keep_their_labels(arrays: Arrays, source: Path) -> None:
    arrays["x_train"][:, 0, 0, 0] = arrays["y_train"]
    np.savez(source, **arrays)
    dataset = datasets.load_cifar10()
    np.testing.assert_array_equal(dataset.x_train[:, 0, 0, 0], dataset.y_train)
    np.testing.assert_array_equal(dataset.x_val[:, 0, 0, 0], dataset.y_val)


def test_name_labels_and_digest(arrays: Arrays, source: Path) -> None:
    np.savez(source, **arrays)
    dataset = datasets.load_cifar10()
    expected = hashlib.sha256(b"".join(arrays[name].tobytes() for name in datasets.ARRAYS)).hexdigest()
    assert (dataset.name, dataset.digest, len(dataset.labels)) == ("cifar10", expected, 10)


def test_labels_of_shape_n_1_give_the_same_dataset(arrays: Arrays, source: Path) -> None:
    np.savez(source, **arrays)
    flat = datasets.load_cifar10()
    np.savez(source, **(arrays | {name: arrays[name].astype(np.int64)[:, None] for name in ("y_train", "y_test")}))
    column = datasets.load_cifar10()
    assert column.digest == flat.digest
    np.testing.assert_array_equal(column.y_val, flat.y_val)
    assert column.y_train.dtype == np.uint8


def test_two_thousand_of_fifty_thousand_images_are_for_validation() -> None:
    mask = datasets.validation_mask(np.tile(np.arange(10, dtype=np.uint8), 5000))
    assert mask.sum() == 2000
    np.testing.assert_array_equal(mask, datasets.validation_mask(np.tile(np.arange(10, dtype=np.uint8), 5000)))


def test_a_small_class_has_a_validation_image() -> None:
    truth = np.array([0] * 100 + [1] * 2, dtype=np.uint8)
    mask = datasets.validation_mask(truth)
    assert np.bincount(truth[mask]).tolist() == [4, 1]


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("x_train", np.zeros((500, 32, 32), np.uint8), "x_train should be uint8 of shape"),
        ("x_train", np.zeros((500, 3, 32, 32), np.uint8), "x_train should be uint8 of shape"),
        ("x_test", np.zeros((20, 32, 32, 3), np.float32), "x_test should be uint8 .* not float32"),
        ("x_test", np.zeros((0, 32, 32, 3), np.uint8), "x_test should be uint8"),
        ("y_test", np.zeros(19, np.uint8), r"y_test should be integers of shape \(20,\)"),
        ("y_test", np.zeros((20, 10), np.uint8), r"y_test should be integers of shape \(20,\)"),
        ("y_test", np.zeros(20, np.float32), "y_test should be integers .* not float32"),
        ("y_test", np.full(20, 10), "y_test should hold 0 to 9, not 10 to 10"),
        ("y_train", np.full(500, -1), "y_train should hold 0 to 9, not -1 to -1"),
        ("y_train", np.zeros(500, np.uint8), "fewer than two images of automobile"),
    ],
)
def test_wrong_arrays_are_named(arrays: Arrays, source: Path, name: str, wrong: NDArray[Any], message: str) -> None:
    np.savez(source, **(arrays | {name: wrong}))
    with pytest.raises(InvalidRequest, match=message):
        datasets.load_cifar10()


def test_a_missing_array_is_named(arrays: Arrays, source: Path) -> None:
    del arrays["y_test"]
    np.savez(source, **arrays)
    with pytest.raises(InvalidRequest, match=r"lacks arrays .*y_test"):
        datasets.load_cifar10()


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00"])
def test_a_file_that_is_not_an_archive(source: Path, content: bytes) -> None:
    source.write_bytes(content)
    with pytest.raises(InvalidRequest, match=r"not a readable \.npz"):
        datasets.load_cifar10()


def test_a_single_array_is_not_an_archive(source: Path) -> None:
    with source.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InvalidRequest, match=r"not a readable \.npz"):
        datasets.load_cifar10()


def test_pickled_objects_are_not_opened(arrays: Arrays, source: Path) -> None:
    np.savez(source, **(arrays | {"y_test": np.array([{}], dtype=object)}))
    with pytest.raises(InvalidRequest, match=r"not a readable \.npz"):
        datasets.load_cifar10()


@pytest.mark.usefixtures("source")
def test_a_missing_file_says_what_to_do() -> None:
    with pytest.raises(NotFound, match=r"DARKROOM_CIFAR10 .*unset it"):
        datasets.load_cifar10()


def test_without_file_or_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    """Keras runs in a separate process, since it reads its folder and proxy settings when it is imported."""
    code = (
        "from shared.domain.errors import NotFound\n"
        "from worker.data.datasets import load_cifar10\n"
        "try:\n    load_cifar10()\n"
        "except NotFound as error:\n    print('NotFound:', error)\n"
    )
    nowhere = "http://127.0.0.1:9"  # the discard port: refused at once
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment.pop(datasets.CIFAR10_SETTING, None)
    environment |= {"KERAS_HOME": str(tmp_path), "HTTPS_PROXY": nowhere, "HTTP_PROXY": nowhere}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "NotFound: CIFAR-10 could not be downloaded: set DARKROOM_CIFAR10" in done.stdout
