"""Read the weights that `torch.save` wrote before PyTorch 1.6, without PyTorch.

The file is five pickles (a magic number, the protocol, facts about the machine, the state dictionary, the keys of the
storages), then each storage: its number of elements as int64, and the elements. Source: `torch.serialization`,
`_legacy_save`. A tensor is a view of a storage with an offset, a shape and strides.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from shared.domain.errors import InvalidRequest

MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001

_DTYPES: Final = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file by name: float32 or int64, contiguous. Raise InvalidRequest if it is not one."""
    try:
        with path.open("rb") as file:
            return _read(file)
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidRequest(f"{path.name} does not contain weights that PyTorch saved: {error}") from error


@dataclass(eq=False)
class _Storage:
    """Elements that tensors are views of. Filled after the tensors are known."""

    dtype: np.dtype[Any]
    size: int
    elements: NDArray[Any] = field(default_factory=lambda: np.zeros(0))

    def read(self, file: BinaryIO) -> None:
        """Read the elements from the file. Raise ValueError if their number is wrong or the file ends."""
        if int(np.frombuffer(file.read(8), "<i8")[0]) != self.size:
            raise ValueError("a storage has another size than its tensors say")
        self.elements = np.frombuffer(file.read(self.size * self.dtype.itemsize), self.dtype)
        if len(self.elements) != self.size:
            raise ValueError("the file is truncated")


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; `strides` count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """Return a contiguous copy. Raise ValueError if the view is not inside its storage."""
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((length - 1) * stride for length, stride in steps)
        if min(self.shape, default=1) < 1 or min(self.strides, default=0) < 0 or not 0 <= last < self.storage.size:
            raise ValueError("a tensor is not inside its storage")
        itemsize = self.storage.dtype.itemsize
        view = as_strided(self.storage.elements[self.offset :], self.shape, [itemsize * each for each in self.strides])
        return np.ascontiguousarray(view).reshape(self.shape)


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_unused: object) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Resolves only what a state dictionary consists of, so that a file cannot run code."""

    _ALLOWED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return the type of a storage, or one of the two allowed callables."""
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which weights do not need")
        return self._ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a tensor refers to."""
        kind, dtype, key, _device, size, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unknown reference {kind}")
        return self.storages.setdefault(key, _Storage(dtype, size))


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    magic, protocol, machine = (_Unpickler(file).load() for _ in range(3))
    if magic != MAGIC or protocol != PROTOCOL or not machine["little_endian"]:
        raise ValueError("the header is not the one of PyTorch before 1.6")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    for key in _Unpickler(file).load():
        unpickler.storages[key].read(file)
    return {name: tensor.array() for name, tensor in tensors.items()}
