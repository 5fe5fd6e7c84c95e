"""Import the pictures of a Chunk into a Dataset: each is decoded once, and all are committed in one step."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from shared.datasets.embeddings import write_embeddings, write_hashes
from shared.datasets.entities import CommitResult, CommitState, NewPicture, Split
from shared.datasets.files import block_folder, dataset_folder, picture_key, thumbnail_key
from shared.datasets.imports import DELETED, DatasetImports
from shared.datasets.pictures import DatasetPictures
from shared.domain.entities import Chunk, Failure, Upload, blob_key
from shared.domain.errors import ItemError, NotFound
from shared.storage.blobs import BlobStore
from worker.data.examine import Examined, examine
from worker.data.load_upload import load_upload
from worker.datasets.near_copies import Examples, NearCopies, among_each_other
from worker.serving.backbone import Backbone
from worker.timings import Timings


@dataclass
class _Examinations:
    """What the pictures of a Chunk look like, by digest: an error, or the content with its Embedding in a row."""

    found: dict[str, tuple[bytes, Examined] | ItemError] = field(default_factory=dict)
    #: Digests by row of `new`.
    rows: dict[str, int] = field(default_factory=dict)
    new: Examples | None = None

    def missing(self) -> set[str]:
        """Return the digests whose bytes the Job does not have."""
        errors = ((digest, each) for digest, each in self.found.items() if isinstance(each, ItemError))
        return {digest for digest, error in errors if error.code == "missing"}


@dataclass(frozen=True)
class PictureImporter:
    """Imports Chunks. `pool` reads, decodes and stores pictures."""

    blobs: BlobStore
    pictures: DatasetPictures
    imports: DatasetImports
    near_copies: NearCopies
    max_pixels: int
    pool: ThreadPoolExecutor

    def run(self, chunk: Chunk, dataset: str, backbone: Backbone, timings: Timings) -> int | None:
        """Import the pictures of a Chunk and end its Items; return the number of failed ones.

        Return None, without any change, if the lease is lost.
        Raise Unavailable or StorageFull if the storage or Redis refuses; nothing is committed then.
        """
        examinations, result = _Examinations(), None
        while result is None or result.state is CommitState.BEHIND:
            result = self._attempt(chunk, dataset, backbone, examinations, timings)
        self._clean_up(chunk, dataset, result)
        if result.state is CommitState.STALE:
            return None
        if result.state is CommitState.GONE:
            return len(chunk.uploads)
        return len(result.failed)

    def _attempt(
        self, chunk: Chunk, dataset: str, backbone: Backbone, examinations: _Examinations, timings: Timings
    ) -> CommitResult:
        """Compare with the Dataset as it is now, and commit. The result is BEHIND if it has changed meanwhile."""
        try:
            blocks = self.pictures.blocks(dataset)
            known = self.pictures.find(dataset, [upload.sha256 for upload in chunk.uploads])
        except NotFound:
            return self.imports.commit(chunk, dataset, 0, 0, {upload.key: DELETED for upload in chunk.uploads})
        missing = {u.sha256: u for u in chunk.uploads if u.sha256 not in known and u.sha256 not in examinations.found}
        if missing:
            self._examine(chunk.job_id, missing, backbone, examinations, timings)
            back = self._bring_back(chunk.job_id, dataset, examinations.missing() & missing.keys())
            self._examine(chunk.job_id, {digest: missing[digest] for digest in back}, backbone, examinations, timings)
            with timings.timing("store"):
                self._store(dataset, chunk.id, backbone.version, examinations)
        near, near_rows = [], []
        if examinations.new is not None:
            near = self.near_copies.in_dataset(dataset, blocks, backbone.version, examinations.new)
            near_rows = among_each_other(examinations.new)
        outcomes: dict[str, NewPicture | Failure] = {}
        for upload in chunk.uploads:
            found, row = examinations.found.get(upload.sha256), examinations.rows.get(upload.sha256)
            if isinstance(found, tuple) and row is not None:
                outcomes[upload.key] = _picture(upload, found[1], row, near[row], near_rows[row])
            elif isinstance(found, ItemError) and upload.sha256 not in known:
                outcomes[upload.key] = Failure(found.code, str(found))
            else:  # the Dataset has it, perhaps since another worker has taken it from the Job
                outcomes[upload.key] = _picture(upload, None)
        with timings.timing("commit"):
            return self.imports.commit(chunk, dataset, len(blocks), len(examinations.rows), outcomes)

    def _examine(
        self,
        job_id: str,
        uploads: Mapping[str, Upload],
        backbone: Backbone,
        examinations: _Examinations,
        timings: Timings,
    ) -> None:
        """Read and decode these pictures, by digest, and add them and their Embeddings to `examinations`."""

        def one(sha256: str) -> tuple[bytes, Examined] | ItemError:
            try:
                with timings.timing("read"):
                    content = load_upload(self.blobs, job_id, uploads[sha256].stored_as, sha256)
                with timings.timing("decode"):
                    return content, examine(content, backbone.card.input, self.max_pixels)
            except ItemError as error:
                return error

        found = dict(zip(uploads, self.pool.map(one, uploads), strict=True))
        good = {sha256: each[1] for sha256, each in found.items() if not isinstance(each, ItemError)}
        examinations.found |= found
        if not good:
            return
        with timings.timing("forward"):
            vectors = backbone.embed(np.stack([each.pixels for each in good.values()]))
        examinations.rows |= {sha256: len(examinations.rows) + n for n, sha256 in enumerate(good)}
        hashes = np.array([each.hash for each in good.values()], np.uint64)
        mirrored = np.array([each.mirrored_hash for each in good.values()], np.uint64)
        examinations.new = _joined(examinations.new, Examples(hashes, mirrored, vectors))

    def _bring_back(self, job_id: str, dataset: str, digests: Collection[str]) -> set[str]:
        """Copy pictures back to the Job from Blocks whose commits Redis has lost; return the digests of those found.

        After a failover, or in a restored backup, Redis may be a little older than the blobs.
        """
        if not digests:
            return set()
        known = {block.id for block in self.pictures.blocks(dataset)}
        found = set()
        for key in self.blobs.keys(dataset_folder(dataset)):
            block, name = key.split("/")[-2:]
            if name in digests and block not in known:
                with contextlib.suppress(NotFound):  # its worker deletes it at the moment
                    self.blobs.copy(key, blob_key(job_id, name))
                    found.add(name)
        return found

    def _store(self, dataset: str, block: str, backbone: str, examinations: _Examinations) -> None:
        """Store the pictures and thumbnails, then the hashes and Embeddings of all rows."""
        list(self.pool.map(lambda blob: self.blobs.put(*blob), _blobs(dataset, block, examinations)))
        if examinations.new is not None:
            write_hashes(self.blobs, dataset, block, examinations.new.hashes, examinations.new.mirrored)
            write_embeddings(self.blobs, dataset, block, backbone, examinations.new.vectors)

    def _clean_up(self, chunk: Chunk, dataset: str, result: CommitResult) -> None:
        """Delete the Block's folder if the Dataset does not use it, and the Job's copies that no retry needs."""
        if not result.added:
            self.blobs.delete_all(block_folder(dataset, chunk.id))
        if result.state is CommitState.COMMITTED:
            kept = {upload.sha256 for upload in chunk.uploads if upload.key in result.failed}
            done = {upload.sha256 for upload in chunk.uploads} - kept
            self.blobs.delete([blob_key(chunk.job_id, sha256) for sha256 in done])


def _blobs(dataset: str, block: str, examinations: _Examinations) -> Iterator[tuple[str, bytes]]:
    for sha256, found in examinations.found.items():
        if not isinstance(found, ItemError):
            content, examined = found
            yield picture_key(dataset, block, sha256), content
            yield thumbnail_key(dataset, block, sha256), examined.thumbnail


def _joined(first: Examples | None, second: Examples) -> Examples:
    if first is None:
        return second
    return Examples(
        np.concatenate([first.hashes, second.hashes]),
        np.concatenate([first.mirrored, second.mirrored]),
        np.concatenate([first.vectors, second.vectors]),
    )


def _picture(
    upload: Upload,
    examined: Examined | None,
    row: int | None = None,
    near: tuple[int, ...] = (),
    near_rows: tuple[int, ...] = (),
) -> NewPicture:
    """Return the picture of an upload; the size of one that the Dataset has already does not matter."""
    return NewPicture(
        key=upload.key,
        sha256=upload.sha256,
        filename=upload.filename,
        size=upload.size,
        media_type=upload.media_type or "",
        width=examined.width if examined else 0,
        height=examined.height if examined else 0,
        row=row,
        label=upload.label,
        near=near,
        near_rows=near_rows,
        split=Split(upload.split) if upload.split else None,
        pinned=bool(upload.pinned),
    )
