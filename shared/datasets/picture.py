"""A picture's record in Redis: packed, since there is one for each picture of each Dataset.

`scripts/dataset_prelude.lua` reads and writes the first three fields.
"""

from __future__ import annotations

import struct

from shared.datasets.entities import NewPicture, Picture, Split
from shared.images.formats import FORMATS

#: Label's index + 1 or 0, flags, group; then width, height, size, block, row, digest. The file name follows.
WHOLE, REST = struct.Struct("<HBIIIIIH32s"), struct.Struct("<IIIIH32s")
#: Bits of the flags: the split (0 none, 1 train, 2 test), pinned, and the format from FORMAT on.
SPLITS: tuple[Split | None, ...] = (None, Split.TRAIN, Split.TEST)
SPLIT, PINNED, FORMAT = 3, 4, 3
#: Bytes of a file name that are kept: the last ones.
MAX_FILENAME = 255
MEDIA_TYPES = tuple(each.media_type for each in FORMATS)


def unpack(n: int, record: bytes) -> Picture:
    """Return the picture with this number and record."""
    label, flags, group, width, height, size, block, row, digest = WHOLE.unpack_from(record)
    return Picture(
        n=n,
        label=label - 1 if label else None,
        split=SPLITS[flags & SPLIT],
        pinned=bool(flags & PINNED),
        group=group,
        width=width,
        height=height,
        size=size,
        media_type=MEDIA_TYPES[flags >> FORMAT],
        sha256=digest.hex(),
        filename=record[WHOLE.size :].decode(),
        block=block,
        row=row,
    )


def flags_of(split: Split | None, pinned: bool, media_type: str) -> int:
    """Return the flags of a record."""
    return SPLITS.index(split) | (PINNED if pinned else 0) | MEDIA_TYPES.index(media_type) << FORMAT


def rest_of(picture: NewPicture, block: int) -> bytes:
    """Return a new picture's record from the width on."""
    fixed = picture.width, picture.height, picture.size, block, picture.row or 0, bytes.fromhex(picture.sha256)
    name = picture.filename.encode()[-MAX_FILENAME:].decode(errors="ignore")
    return REST.pack(*fixed) + name.encode()
