"""Stores of ModelVersions: shipped ones in a folder, published ones in the blob store.

A version exists once its card does: the card is written last. Nothing is ever overwritten.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Protocol

from shared.domain.card import (
    ANSWERS_FILE,
    CARD_FILE,
    CONFUSIONS_FILE,
    HEAD_FILE,
    MODEL_FILE,
    OPENVINO_FILE,
    PREDICTIONS_FILE,
    SNAPSHOT_FILE,
    TRUTH_FILE,
)
from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore, storage_errors

#: Folder of the blobs of published versions: `models/<version>/<file>`.
PREFIX = "models"
#: Files of a version, in the order in which they are published.
FILES = (
    MODEL_FILE,
    OPENVINO_FILE,
    HEAD_FILE,
    PREDICTIONS_FILE,
    TRUTH_FILE,
    ANSWERS_FILE,
    CONFUSIONS_FILE,
    SNAPSHOT_FILE,
    CARD_FILE,
)


class VersionStore(Protocol):
    """Versions by name. Every method raises Unavailable if the store cannot be reached."""

    def names(self) -> list[str]:
        """Return the names of all versions, in any order."""

    def read(self, version: str, name: str) -> bytes:
        """Return the bytes of a file of a version. Raises NotFound."""

    def local_path(self, version: str, name: str, sha256: str) -> Path:
        """Return the path of a local copy of a file. Raises NotFound, also if the digest is not `sha256`."""


class ShippedVersions:
    """Versions in a local folder, read-only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return the names of all versions, in any order."""
        return [path.parent.name for path in self._folder.glob(f"*/{CARD_FILE}")]

    def read(self, version: str, name: str) -> bytes:
        """Return the bytes of a file of a version. Raises NotFound."""
        with storage_errors(f"{version}/{name}"):
            return (self._folder / version / name).read_bytes()

    def local_path(self, version: str, name: str, sha256: str) -> Path:
        """Return the path of the file. Raises NotFound, also if the digest is not `sha256`."""
        path = self._folder / version / name
        if not path.is_file():
            raise NotFound(f"{name} of model {version} is missing")
        if _digest(path) != sha256:
            raise _damaged(version, name)
        return path


class PublishedVersions:
    """Versions in the blob store. Models are fetched once into the folder `cache`, which may be emptied at any time."""

    def __init__(self, blobs: BlobStore, cache: Path) -> None:
        self._blobs, self._cache = blobs, cache

    def names(self) -> list[str]:
        """Return the names of all versions, in any order."""
        ending = f"/{CARD_FILE}"
        keys = self._blobs.keys(PREFIX)
        return [key.removeprefix(f"{PREFIX}/").removesuffix(ending) for key in keys if key.endswith(ending)]

    def read(self, version: str, name: str) -> bytes:
        """Return the bytes of a file of a version. Raises NotFound."""
        return self._blobs.get(_key(version, name))

    def local_path(self, version: str, name: str, sha256: str) -> Path:
        """Return the path of a local copy of a file. Raises NotFound, also if the digest is not `sha256`."""
        path = self._cache / version / name
        if not path.is_file() or _digest(path) != sha256:
            self._fetch(version, sha256, path)
        return path

    def has(self, version: str, name: str) -> bool:
        """Return whether a file of a version is published; of the card, whether the version is."""
        return self._blobs.exists(_key(version, name))

    def publish(self, version: str, folder: Path) -> None:
        """Store the files of a version in `folder`. Raises Conflict if the version exists."""
        for name in FILES[:-1]:
            if (folder / name).is_file():
                with (folder / name).open("rb") as file:
                    self._blobs.put(_key(version, name), file)
        self._blobs.create(_key(version, CARD_FILE), (folder / CARD_FILE).read_bytes())

    def _fetch(self, version: str, sha256: str, path: Path) -> None:
        part = path.with_name(f".{uuid.uuid4().hex}")
        with storage_errors(str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._copy(_key(version, path.name), part)
            if _digest(part) != sha256:
                raise _damaged(version, path.name)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _copy(self, key: str, path: Path) -> None:
        with storage_errors(str(path)), path.open("xb") as file:
            for chunk in self._blobs.stream(key):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())


def _damaged(version: str, name: str) -> NotFound:
    return NotFound(f"{name} of model {version} is damaged: its SHA-256 does not match the model card")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(version: str, name: str) -> str:
    return f"{PREFIX}/{version}/{name}"
