"""The Blobs of Datasets: pictures, thumbnails, perceptual hashes and Embeddings, in a folder for each Block.

    datasets/<dataset>/<block>/<sha256>                 a picture as it was uploaded
    datasets/<dataset>/<block>/<sha256>.thumb           its thumbnail
    datasets/<dataset>/<block>/hashes                   perceptual hashes (`embeddings.py`)
    datasets/<dataset>/<block>/embeddings-<backbone>    Embeddings
    datasets/<dataset>/report                           the report on the Dataset (`report.py`)
    datasets/<dataset>/neighbours                       which pictures look alike (`neighbours.py`)
    datasets/<dataset>/basis                            what the next report may take over (a worker's)

Each import has its own folders, so deleting a picture cannot hit the bytes that another import of it has stored.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.domain.errors import NotFound
from shared.storage.blobs import BlobStore

#: Folder of the Blobs of all Datasets.
DATASETS_FOLDER = "datasets"
#: Suffix of a thumbnail; name of the hashes; prefix of the Embeddings.
THUMBNAIL, HASHES, EMBEDDINGS = ".thumb", "hashes", "embeddings-"
#: Names of the report, of the neighbours, and of what the next report may take over, in a Dataset's folder, beside the
#: folders of its Blocks.
REPORT, NEIGHBOURS, BASIS = "report", "neighbours", "basis"
#: Bytes of a perceptual hash.
HASH_BYTES = 8
#: Bytes before the Embeddings: the number of rows and of dimensions, each a little-endian uint32.
HEADER_BYTES = 8
#: Bytes of a number of an Embedding, which is a float16.
NUMBER_BYTES = 2


def dataset_folder(dataset: str) -> str:
    """Return the folder of a Dataset's Blobs."""
    return f"{DATASETS_FOLDER}/{dataset}"


def block_folder(dataset: str, block: str) -> str:
    """Return the folder of the Block with this id."""
    return f"{dataset_folder(dataset)}/{block}"


def report_key(dataset: str) -> str:
    """Return the key of the report on a Dataset."""
    return f"{dataset_folder(dataset)}/{REPORT}"


def neighbours_key(dataset: str) -> str:
    """Return the key of the neighbours of a Dataset's pictures."""
    return f"{dataset_folder(dataset)}/{NEIGHBOURS}"


def basis_key(dataset: str) -> str:
    """Return the key of what the next report on a Dataset may take over."""
    return f"{dataset_folder(dataset)}/{BASIS}"


def picture_key(dataset: str, block: str, sha256: str) -> str:
    """Return the key of a picture's bytes."""
    return f"{block_folder(dataset, block)}/{sha256}"


def thumbnail_key(dataset: str, block: str, sha256: str) -> str:
    """Return the key of a picture's thumbnail."""
    return picture_key(dataset, block, sha256) + THUMBNAIL


def hashes_key(dataset: str, block: str) -> str:
    """Return the key of a Block's perceptual hashes."""
    return f"{block_folder(dataset, block)}/{HASHES}"


def embeddings_key(dataset: str, block: str, backbone: str) -> str:
    """Return the key of a Block's Embeddings by a Backbone, named with its version."""
    return f"{block_folder(dataset, block)}/{EMBEDDINGS}{backbone}"


def erase(blobs: BlobStore, dataset: str, block: str, rows: Mapping[int, str]) -> None:
    """Delete pictures of a Block, given as digests by row, with their thumbnails, hashes and Embeddings.

    No other process may write the Block's hashes and Embeddings at the same time. Repeating the call is harmless.
    """
    folder = block_folder(dataset, block)
    blobs.delete([f"{folder}/{digest}{suffix}" for digest in rows.values() for suffix in ("", THUMBNAIL)])
    for key in blobs.keys(folder):  # after the pictures, since it needs some space on the disk
        name = key.rpartition("/")[2]
        if name == HASHES or name.startswith(EMBEDDINGS):
            _overwrite(blobs, key, rows)


def _overwrite(blobs: BlobStore, key: str, rows: Mapping[int, str]) -> None:
    try:
        content = bytearray(blobs.get(key))
    except NotFound:
        return
    if key.endswith(f"/{HASHES}"):
        count = len(content) // (2 * HASH_BYTES)
        spans = [(half * count + row) * HASH_BYTES for row in rows for half in (0, 1)]
        length = HASH_BYTES
    else:
        length = int.from_bytes(content[4:HEADER_BYTES], "little") * NUMBER_BYTES
        spans = [HEADER_BYTES + row * length for row in rows]
    for start in spans:
        content[start : start + length] = bytes(length)
    blobs.put(key, bytes(content))
