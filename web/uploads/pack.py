"""Packs: small pictures of a request that are stored together as one blob."""

from __future__ import annotations

import hashlib

from shared.domain.entities import PACK_PREFIX

#: Pictures of at most these bytes are packed.
PACKED_BYTES = 64 * 1024
#: Hexadecimal digits of a pack's digest that are in its name, which each of its pictures has in Redis.
NAME_DIGITS = 16


class Pack:
    """Pictures one behind the other. The name follows from the bytes, so that other bytes never replace them."""

    def __init__(self, pictures: dict[str, bytes]) -> None:
        """Take these pictures, by digest, out of `pictures`, so that memory holds each of them once."""
        self.content, starts = bytearray(), dict[str, int]()
        for digest in list(pictures):
            starts[digest] = len(self.content)
            self.content += pictures.pop(digest)
        name = hashlib.sha256(self.content).hexdigest()[:NAME_DIGITS]
        #: Its name in the folder of its job, for `blob_key`.
        self.stored_as = f"{PACK_PREFIX}{name}"
        #: `Upload.pack` of each picture, by digest.
        self.places = {digest: f"{name}#{start}" for digest, start in starts.items()}
