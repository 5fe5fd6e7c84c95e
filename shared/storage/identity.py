"""One id in the storage and in Redis: a program that is given another storage than the others notices at once."""

from __future__ import annotations

from shared.domain.entities import new_id
from shared.domain.errors import ConfigError, Conflict, NotFound
from shared.redis import keys
from shared.redis.connection import Client, redis_errors
from shared.storage.blobs import BlobStore

#: The blob with the id.
BLOB = "storage-id"


class StorageIdentity:
    """The check that Redis and the storage belong together."""

    def __init__(self, client: Client, blobs: BlobStore) -> None:
        self._redis, self._blobs = client, blobs
        self._is_checked = False

    def check(self) -> None:
        """Raise ConfigError if Redis is used with another storage elsewhere. Record the storage if it is the first one.

        Raise Unavailable or StorageFull if that cannot be found out. Once it has succeeded it costs nothing.
        """
        if not self._is_checked:
            self._compare()
            self._is_checked = True

    @redis_errors()
    def is_recorded(self) -> bool:
        """Return whether a program has recorded its storage in this Redis. Raise Unavailable."""
        return bool(self._redis.exists(keys.STORAGE_ID))

    @redis_errors()
    def _compare(self) -> None:
        stored, recorded = self._stored(), self._redis.get(keys.STORAGE_ID)
        if stored is None and recorded is None:
            stored = self._create()
        if recorded is None:
            self._redis.set(keys.STORAGE_ID, stored, nx=True)
            recorded = self._redis.get(keys.STORAGE_ID)
        if stored != recorded:
            raise ConfigError(
                f"{self._blobs} is not the storage that other programs use with this Redis: set DARKROOM_STORAGE_URL "
                f"as they do; if the pictures have moved here, delete the key {keys.STORAGE_ID} in Redis"
            )

    def _stored(self) -> str | None:
        try:
            return self._blobs.get(BLOB).decode(errors="replace").strip()
        except NotFound:
            return None

    def _create(self) -> str:
        """Store a new id, or return that of another program that was faster."""
        new = new_id()
        try:
            self._blobs.create(BLOB, new.encode())
        except Conflict:
            return self._blobs.get(BLOB).decode()
        return new
