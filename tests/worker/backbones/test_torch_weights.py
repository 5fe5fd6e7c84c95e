"""Weights that PyTorch saved are read without PyTorch, and without running what the file names."""

from __future__ import annotations

import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar

import numpy as np
import pytest

from shared.domain.errors import InvalidRequest
from worker.backbones.torch_weights import MAGIC, PROTOCOL, read_weights

HEADER = (MAGIC, PROTOCOL, {"little_endian": True, "protocol_version": PROTOCOL, "type_sizes": {}})


class FloatStorage:
    """Stands for the class of this name in torch."""


def _rebuild_tensor_v2(*_: Any) -> None:
    """Stands for the function of this name in torch."""


class Storage:
    def __init__(self, key: str, size: int) -> None:
        self.pid = ("storage", FloatStorage, key, "cpu", size, None)


class Tensor:
    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self) -> Any:
        return _rebuild_tensor_v2, self.arguments


class Pickler(pickle._Pickler):
    def persistent_id(self, thing: Any) -> Any:
        return thing.pid if isinstance(thing, Storage) else None

    def save_global(self, thing: Any, name: str | None = None) -> None:
        where = {FloatStorage: b"ctorch\nFloatStorage\n", _rebuild_tensor_v2: b"ctorch._utils\n_rebuild_tensor_v2\n"}
        if thing in where:
            self.write(where[thing])
        else:
            super().save_global(thing, name)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, FunctionType: save_global}


def saved(path: Path, tensors: Any, storages: dict[str, np.ndarray], header: tuple[Any, ...] = HEADER) -> Path:
    content = io.BytesIO()
    for part in (*header, tensors, list(storages)):
        Pickler(content, 2).dump(part)
    for values in storages.values():
        content.write(struct.pack("<q", len(values)) + values.astype("<f4").tobytes())
    path.write_bytes(content.getvalue())
    return path


def test_tensors_are_views_with_strides(tmp_path: Path) -> None:
    storage = Storage("7", 12)
    tensors = OrderedDict(rows=Tensor(storage, 0, (3, 4), (4, 1)), columns=Tensor(storage, 1, (2, 3), (1, 4)))
    read = read_weights(saved(tmp_path / "a.pth", tensors, {"7": np.arange(12)}))
    np.testing.assert_array_equal(read["rows"], np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(read["columns"], [[1, 5, 9], [2, 6, 10]])
    assert all(array.flags.c_contiguous for array in read.values())


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    "tensors",
    [
        {"a": Command()},
        {"a": Tensor(Storage("7", 12), 8, (3, 4), (4, 1))},
        {"a": Tensor(Storage("7", 12), 0, (3, 4), (-4, 1))},
        {"a": Tensor(Storage("7", 99), 0, (3, 4), (4, 1))},
        {"a": 1},
        7,
    ],
    ids=["code", "beyond its storage", "negative strides", "another size", "no tensor", "no dictionary"],
)
def test_another_file_is_refused(tmp_path: Path, tensors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest, match=r"a\.pth"):
        read_weights(saved(tmp_path / "a.pth", tensors, {"7": np.arange(12)}))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x80\x02N."])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(InvalidRequest):
        read_weights(tmp_path / "a.pth")


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {"a": Tensor(Storage("7", 12), 0, (3, 4), (4, 1))}, {"7": np.arange(12)})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InvalidRequest):
        read_weights(path)
