"""A file that runs code, is damaged or does not fit is refused by name."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from shared.domain.errors import InvalidRequest
from tests.models_kit import (
    lambda_that_makes,
    saved,
    small_app,
    small_app_of_keras_2,
    with_config,
    with_weights,
)
from tests.worker.importing.kit import ENDINGS, IMAGES, imported, refused, served, set_config

pytestmark = pytest.mark.usefixtures("few_passes", "no_cifar10")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_lambda_is_refused_and_never_run(tmp_path: Path, ending: str) -> None:
    """Unsafe loading of the same file runs its code, so the marker would exist."""
    marker = tmp_path / "marker"
    file = lambda_that_makes(marker, tmp_path / f"model{ending}")
    assert "'sneaky' is a Lambda layer" in refused(file)
    assert not marker.exists()
    keras.saving.load_model(file, compile=False, safe_mode=False)(IMAGES.astype(np.float32))
    assert marker.exists()


@keras.saving.register_keras_serializable("elsewhere")
class Custom(layers.Dense):
    """A custom layer; since it is registered here, Keras would load it."""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_custom_class_is_refused_by_name(tmp_path: Path, ending: str) -> None:
    network = keras.Sequential(
        [keras.Input((32, 32, 3)), layers.Flatten(), Custom(10, activation="softmax", name="mine")]
    )
    reason = refused(saved(network, tmp_path / f"model{ending}"))
    assert "'mine'" in reason
    assert "not Keras's own" in reason


def _set(layer: int, **entries: Any) -> Callable[[dict[str, Any]], None]:
    """Return a function that changes one layer's entry in a configuration."""
    return lambda config: config["config"]["layers"][layer].update(entries)


CODE = {"class_name": "__lambda__", "config": {"value": "AAAA"}}
HOSTILE = {
    "a class of the system": (_set(1, module="os", class_name="system"), "'os.system'"),
    "a class of Python's": (_set(1, module="builtins", class_name="exec"), "'builtins.exec'"),
    "a function of Keras's": (_set(1, module="keras.utils", class_name="get_file"), "'keras.utils.get_file'"),
    "a module inside Keras": (_set(1, module="keras.src.os", class_name="system"), "'keras.src.os.system'"),
    "a registered class": (_set(1, registered_name="evil>Conv2D"), "'evil>Conv2D'"),
    "another file's program": (
        _set(1, module="keras.layers", class_name="TFSMLayer", config={"filepath": "/tmp/x", "name": "a"}),
        "TFSMLayer layer, which runs",
    ),
    "another file's vocabulary": (
        _set(1, module="keras.layers", class_name="StringLookup", config={"vocabulary": "/etc/passwd", "name": "a"}),
        "StringLookup layer, which reads",
    ),
    "code as an argument": (set_config(1, kernel_initializer=CODE), "'conv2d"),
    "code inside an argument": (set_config(1, activation={"a": [[CODE]]}), "'conv2d"),
    "an unknown activation": (set_config(1, activation="my_own"), "activation 'my_own'"),
    "a foreign function": (
        set_config(1, activation={"module": "evil", "class_name": "function", "config": "f", "registered_name": "f"}),
        "activation 'f'",
    ),
    "a foreign loss in a nested model": (
        set_config(1, inner={"compile_config": {"loss": {"module": "evil", "class_name": "Loss"}}}),
        "'evil.Loss'",
    ),
    "a name that is not a string": (_set(1, class_name=["Conv2D"]), "not Keras's own"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_part_that_is_not_keras_own_is_refused_by_name(tmp_path: Path, ending: str, what: str) -> None:
    change, named = HOSTILE[what]
    source = saved(small_app(), tmp_path / f"good{ending}")
    file = with_config(source, tmp_path / f"bad{ending}", change)
    assert named in refused(file)


@pytest.mark.parametrize("name", ["Lambda", "TFOpLambda", "SlicingOpLambda", "serialize", "StringLookup", "Evil", "os"])
def test_a_keras_2_file_may_use_only_layers_of_keras(tmp_path: Path, name: str) -> None:
    source = small_app_of_keras_2(tmp_path / "good.h5")
    file = with_config(source, tmp_path / "bad.h5", _set(1, class_name=name))
    assert "max_pooling2d" in refused(file)


def test_the_compile_configuration_is_ignored(tmp_path: Path, threads: int) -> None:
    """A custom loss in the file is not loaded."""
    source = saved(small_app(), tmp_path / "model.keras")
    loss = {"module": "somewhere", "class_name": "OwnLoss", "config": {}, "registered_name": "OwnLoss"}
    file = with_config(
        source, tmp_path / "with_loss.keras", lambda config: config.update(compile_config={"loss": loss})
    )
    assert served(file, imported(file), threads).shape == (3, 10)


@pytest.mark.parametrize(
    ("network", "found"),
    [
        (lambda: small_app(labels=7), "7 outputs"),
        (lambda: keras.Sequential([keras.Input((32, 32, 1)), layers.Flatten(), layers.Dense(10)]), "(None, 32, 32, 1)"),
        (lambda: keras.Sequential([keras.Input((3, 32, 32)), layers.Flatten(), layers.Dense(10)]), "(None, 3, 32, 32)"),
        (
            lambda: keras.Sequential([keras.Input((None, None, 3)), layers.GlobalMaxPooling2D(), layers.Dense(10)]),
            "(None, None, None, 3)",
        ),
        (lambda: keras.Sequential([keras.Input((64,)), layers.Dense(10)]), "(None, 64)"),
        (lambda: keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(10, 3)]), "(None, 30, 30, 10)"),
        (
            lambda: keras.Sequential([keras.Input((32, 32, 3), batch_size=4), layers.Flatten(), layers.Dense(10)]),
            "(4, ",
        ),
        (
            lambda: keras.Sequential([keras.Input((257, 257, 3)), layers.GlobalMaxPooling2D(), layers.Dense(10)]),
            "257 × 257",
        ),
        (lambda: _branches(inputs=2), "2 inputs"),
        (lambda: _branches(outputs=2), "2 outputs"),
    ],
)
def test_a_network_with_wrong_shapes_is_refused_and_the_shape_named(
    tmp_path: Path, network: Callable[[], keras.Model], found: str
) -> None:
    assert found in refused(saved(network(), tmp_path / "model.keras"))


def _branches(inputs: int = 1, outputs: int = 1) -> keras.Model:
    taken = [keras.Input((32, 32, 3)) for _ in range(inputs)]
    flat = layers.Flatten()(layers.Add()(taken) if inputs > 1 else taken[0])
    return keras.Model(taken, [layers.Dense(10)(flat) for _ in range(outputs)])


def test_a_wrong_number_of_labels_is_refused(tmp_path: Path) -> None:
    file = saved(small_app(), tmp_path / "model.keras")
    reason = refused(file, labels=("a", "b", "c"))
    assert "10 outputs" in reason and "3 labels" in reason


def test_a_network_with_nan_output_is_refused(tmp_path: Path) -> None:
    network = small_app()
    network.layers[-1].set_weights([weights * np.nan for weights in network.layers[-1].get_weights()])
    assert "NaN" in refused(saved(network, tmp_path / "model.keras"))


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, ending: str, share: float) -> None:
    file = saved(small_app(), tmp_path / f"model{ending}")
    os.truncate(file, int(file.stat().st_size * share))
    assert "damaged" in refused(file)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_corrupted_file_is_refused_or_served(tmp_path: Path, ending: str, place: float) -> None:
    """Corrupted weights may go unnoticed, but must not raise any other error."""
    file = saved(small_app(), tmp_path / f"model{ending}")
    content = bytearray(file.read_bytes())
    start = int(len(content) * place)
    content[start : start + 500] = bytes(range(250)) * 2
    file.write_bytes(content)
    try:
        imported(file)
    except InvalidRequest:
        assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path, content: bytes, ending: str) -> None:
    file = tmp_path / f"model{ending}"
    file.write_bytes(content)
    refused(file)


def test_a_zip_with_other_members_is_refused(tmp_path: Path) -> None:
    def zipped(*members: tuple[str, bytes]) -> Path:
        with zipfile.ZipFile(tmp_path / "model.keras", "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of two members of the same name
            for name, content in members:
                archive.writestr(name, content)
        return tmp_path / "model.keras"

    assert "'readme.txt'" in refused(zipped(("readme.txt", b"no model")))
    assert "once each" in refused(zipped(("config.json", b"{}")))
    assert "once each" in refused(zipped(("config.json", b"{}"), ("config.json", b"{}"), ("model.weights.h5", b"")))
    assert "'assets/x'" in refused(zipped(("config.json", b"{}"), ("model.weights.h5", b""), ("assets/x", b"")))
    assert "damaged" in refused(zipped(("config.json", b"{}"), ("model.weights.h5", b"no weights")))
    assert "config.json" in refused(zipped(("config.json", bytes(9 * 2**20)), ("model.weights.h5", b"")))


@pytest.mark.parametrize("config", ["[]", "null", "3", "{", "{}", "[" * 100_000, '{"class_name": "Sequential"}'])
def test_an_invalid_configuration_is_refused(tmp_path: Path, config: str) -> None:
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = config
    refused(tmp_path / "model.h5")


def test_weights_without_a_model_are_refused(tmp_path: Path) -> None:
    network = small_app()
    network.save_weights(tmp_path / "just.weights.h5")
    file = (tmp_path / "just.weights.h5").rename(tmp_path / "model.h5")
    assert "only weights" in refused(file)


def _external(file: h5py.File) -> None:
    file.create_dataset("stolen", (64,), "u1", external=[("/etc/passwd", 0, 64)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((64,), "u1")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (64,))
    file.create_virtual_dataset("stolen", layout)


def _linked(file: h5py.File) -> None:
    file["stolen"] = h5py.ExternalLink("/tmp/other.h5", "/x")


def _huge(file: h5py.File) -> None:
    file.create_dataset("huge", (2**40,), "f4", chunks=(2**20,), compression="gzip")


def _objects(file: h5py.File) -> None:
    file.create_dataset("texts", data=["a", "b"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_external, "another file"),
        (_virtual, "another file"),
        (_linked, "external link"),
        (_huge, "bytes of memory"),
        (_objects, "not a type of weights"),
    ],
)
def test_weights_outside_the_file_or_too_big_are_refused(
    tmp_path: Path, change: Callable[[h5py.File], None], reason: str
) -> None:
    good = saved(small_app(), tmp_path / "good.keras")
    assert reason in refused(with_weights(good, tmp_path / "bad.keras", change))
    old = saved(small_app(), tmp_path / "bad.h5")
    with h5py.File(old, "r+") as file:
        change(file)
    assert reason in refused(old)


def test_cyclic_groups_are_visited_once(tmp_path: Path, threads: int) -> None:
    def circle(file: h5py.File) -> None:
        group = file.create_group("round")
        group["again"] = file["/"]

    file = with_weights(saved(small_app(), tmp_path / "good.keras"), tmp_path / "model.keras", circle)
    assert served(file, imported(file), threads).shape == (3, 10)
