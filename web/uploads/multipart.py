"""Read a `multipart/form-data` body part by part, as it arrives.

Werkzeug's form parser would read the whole request before the first file could be stored, and keep every file open;
its decoder underneath does not, so this module drives that one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO

from werkzeug.datastructures import Headers
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from shared.domain.errors import MalformedRequest, TooLarge, UnsupportedMedia

#: Bytes read from the client in one go.
READ_BYTES = 64 * 1024
#: Bytes that the decoder may hold back while it looks for a boundary or the end of a part's headers.
BUFFER_BYTES = 1024 * 1024
#: Parts that are no files: `metadata`, `keys` and some to come.
OTHER_PARTS = 16


@dataclass
class Part:
    """One part. `chunks` must be read to the end before the next part is asked for; `filename` is None for a field."""

    name: str
    filename: str | None
    chunks: Iterator[bytes]

    def is_empty(self) -> bool:
        """Whether there is no content at all; what is read to find out stays in `chunks`."""
        first = next((chunk for chunk in self.chunks if chunk), None)
        if first is not None:
            self.chunks = chain([first], self.chunks)
        return first is None

    def text(self, max_bytes: int) -> bytes:
        """A field's whole content. Raises TooLarge over `max_bytes`."""
        content = b""
        for chunk in self.chunks:
            content += chunk
            if len(content) > max_bytes:
                raise TooLarge(f"the part {self.name!r} is over {max_bytes} bytes")
        return content


def read_parts(stream: IO[bytes], content_type: str, max_files: int) -> Iterator[Part]:
    """The parts of a body. Raises MalformedRequest for one that is cut short or no multipart, TooLarge for too many."""
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise UnsupportedMedia("multipart/form-data without a boundary")
    decoder = _Decoder(boundary.encode("latin-1", "replace"), BUFFER_BYTES, max_parts=max_files + OTHER_PARTS)
    events = _events(decoder, stream, max_files)
    for event in events:
        if isinstance(event, File | Field):
            chunks = _content(events)
            yield Part(event.name or "", event.filename if isinstance(event, File) else None, chunks)
            for _ in chunks:  # what the caller left unread
                pass


class _Decoder(MultipartDecoder):
    """Werkzeug's decoder, but for two things."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        """A file's name that is not UTF-8 does not fail the files beside it."""
        return super()._parse_headers(data.decode(errors="replace").encode())

    def _last_partial_boundary_index(self, data: bytes | bytearray) -> int:
        """Werkzeug 3.1 takes the CR in front of the last boundary for content where a read ends on `--boundary-`."""
        index = super()._last_partial_boundary_index(data)
        return index - 1 if data[max(index - 1, 0) : index + 1] == b"\r\n" else index


def _content(events: Iterator[object]) -> Iterator[bytes]:
    for event in events:
        if isinstance(event, Data):
            yield event.data
            if not event.more_data:
                return


def _events(decoder: MultipartDecoder, stream: IO[bytes], max_files: int) -> Iterator[object]:
    while True:
        with _decoding(max_files):
            event = decoder.next_event()
        if isinstance(event, Epilogue):
            return
        if isinstance(event, NeedData):
            data = stream.read(READ_BYTES) or None
            with _decoding(max_files):
                decoder.receive_data(data)
        else:
            yield event


@contextmanager
def _decoding(max_files: int) -> Iterator[None]:
    try:
        yield
    except RequestEntityTooLarge as error:
        raise TooLarge(f"more than {max_files} files in one request, or a part with over-long headers") from error
    except ValueError as error:
        raise MalformedRequest(f"the multipart body cannot be read: {error}") from error
