"""Complete what a deletion or a merge has begun. The record changes first; the rest follows, also after a crash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from shared.datasets.files import BASIS, DATASETS_FOLDER, NEIGHBOURS, REPORT, block_folder, dataset_folder, erase
from shared.datasets.labels import DatasetLabels
from shared.domain.entities import new_id
from shared.redis import keys
from shared.redis.connection import Client, Scripts, redis_errors
from shared.storage.blobs import BlobStore

#: Deleted pictures whose bytes one call deletes at most.
ERASE_BATCH = 500
#: Datasets that one round of the reconciler handles at most.
BATCH = 100
#: Seconds after which a Dataset's lock expires, if its holder has died. Erasing a batch takes a few at most.
LOCK_S = 60


class DatasetSweep:
    """Deletes Blobs of deleted pictures and Datasets, and completes merges. Raises Unavailable."""

    def __init__(self, client: Client, blobs: BlobStore) -> None:
        self._redis = client
        self._scripts = Scripts(client)
        self._labels = DatasetLabels(client)
        self._blobs = blobs

    @redis_errors()
    def unfinished(self, limit: int) -> list[str]:
        """Return at most `limit` Datasets with something to complete, those that wait for longest first."""
        return list(self._redis.zrange(keys.UNFINISHED_DATASETS, 0, limit - 1))

    @redis_errors()
    def finish(self, dataset: str) -> None:
        """Complete merges and deletions of Labels, and delete the bytes of at most ERASE_BATCH deleted pictures.

        If the Dataset was removed, delete all its bytes. Do nothing to pictures while another process does.
        """
        if not self._redis.exists(keys.dataset(dataset)):
            self._blobs.delete_all(dataset_folder(dataset))
            self._redis.zrem(keys.UNFINISHED_DATASETS, dataset)
            return
        self._labels.finish_move(dataset)
        with self.alone(dataset) as is_alone:
            if is_alone:
                self._erase(dataset)

    def run(self) -> None:
        """Complete what is unfinished in at most BATCH Datasets."""
        for dataset in self.unfinished(BATCH):
            self.finish(dataset)

    @redis_errors()
    def orphans(self, oldest: float) -> list[str]:
        """Return folders last written before `oldest` (seconds since the epoch) that no Dataset or Block owns."""
        found = []
        for dataset, written_at in self._blobs.folders(DATASETS_FOLDER).items():
            if self._redis.exists(keys.dataset(dataset)):
                lines = self._redis.lrange(keys.dataset(dataset, "blocks"), 0, -1)
                known = {REPORT, NEIGHBOURS, BASIS, *(line.partition(" ")[0] for line in lines)}
                blocks = self._blobs.folders(dataset_folder(dataset)).items()
                found += [block_folder(dataset, each) for each, at in blocks if at < oldest and each not in known]
            elif written_at < oldest:
                found.append(dataset_folder(dataset))
        return found

    @contextmanager
    def alone(self, dataset: str) -> Iterator[bool]:
        """Hold the Dataset's lock, without which no process may change stored Embeddings. False: another one has it."""
        key, token = keys.dataset(dataset, "lock"), new_id()
        got = bool(self._redis.set(key, token, nx=True, ex=LOCK_S))
        try:
            yield got
        finally:
            if got and self._redis.get(key) == token:
                self._redis.delete(key)

    def _erase(self, dataset: str) -> None:
        blocks: dict[int, dict[int, str]] = defaultdict(dict)
        removed = dict(islice(self._redis.hscan_iter(keys.dataset(dataset, "removed"), count=ERASE_BATCH), ERASE_BATCH))
        for place in removed.values():
            block, row, digest = place.split()
            blocks[int(block)][int(row)] = digest
        for number, rows in blocks.items():
            block_id = self._redis.lindex(keys.dataset(dataset, "blocks"), number).partition(" ")[0]
            erase(self._blobs, dataset, block_id, rows)
        self._scripts.run("dataset_settle", dataset, *removed)
