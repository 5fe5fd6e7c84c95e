"""Where ModelVersions lie: the ones that ship with Darkroom in a folder, published ones in the blob store.

A version is there once its card is there; the card is written last, and nothing is ever overwritten.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Protocol

from shared.domain.card import CARD_FILE, CONFUSIONS_FILE, MODEL_FILE, OPENVINO_FILE, PREDICTIONS_FILE, TRUTH_FILE
from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore, storage_errors

#: The blobs of all published versions: `models/<version>/<file>`.
PREFIX = "models"
#: What a version may hold, in the order in which it is published.
FILES = (MODEL_FILE, OPENVINO_FILE, PREDICTIONS_FILE, TRUTH_FILE, CONFUSIONS_FILE, CARD_FILE)


class VersionStore(Protocol):
    """Versions by name. Every method raises Unavailable where the store cannot be reached."""

    def names(self) -> list[str]:
        """The versions that are there, in any order."""

    def read(self, version: str, name: str) -> bytes:
        """The bytes of one file of a version. Raises NotFound."""

    def local_path(self, version: str, name: str, sha256: str) -> Path:
        """One file of a version as a file on this machine; its digest should be `sha256`. Raises NotFound."""


class ShippedVersions:
    """Versions in a folder of this machine, which are only read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """As the port says."""
        return [path.parent.name for path in self._folder.glob(f"*/{CARD_FILE}")]

    def read(self, version: str, name: str) -> bytes:
        """As the port says."""
        with storage_errors(f"{version}/{name}"):
            return (self._folder / version / name).read_bytes()

    def local_path(self, version: str, name: str, sha256: str) -> Path:  # noqa: ARG002 - whoever loads it checks the digest
        """As the port says."""
        path = self._folder / version / name
        if not path.is_file():
            raise NotFound(f"{name} of model {version} is gone")
        return path


class PublishedVersions:
    """Versions in the blob store. Their models are fetched once into `cache`, which may be emptied at any time."""

    def __init__(self, blobs: BlobStore, cache: Path) -> None:
        self._blobs, self._cache = blobs, cache

    def names(self) -> list[str]:
        """As the port says."""
        ending = f"/{CARD_FILE}"
        keys = self._blobs.keys(PREFIX)
        return [key.removeprefix(f"{PREFIX}/").removesuffix(ending) for key in keys if key.endswith(ending)]

    def read(self, version: str, name: str) -> bytes:
        """As the port says."""
        return self._blobs.get(_key(version, name))

    def local_path(self, version: str, name: str, sha256: str) -> Path:
        """As the port says; a file that arrives with another digest is not kept."""
        path = self._cache / version / name
        if not path.is_file() or _digest(path) != sha256:
            self._fetch(version, sha256, path)
        return path

    def publish(self, version: str, folder: Path) -> None:
        """Store what `folder` holds of a version. Raises Conflict where the version is there already."""
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
                raise NotFound(f"{path.name} of model {version} is damaged: its digest is not that of its card")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _copy(self, key: str, path: Path) -> None:
        with storage_errors(str(path)), path.open("xb") as file:
            for chunk in self._blobs.stream(key):
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(version: str, name: str) -> str:
    return f"{PREFIX}/{version}/{name}"
