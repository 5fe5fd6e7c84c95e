"""Read a `multipart/form-data` body part by part, as it arrives.

Werkzeug's form parser would read the whole request before the first file could be stored, and keep every file open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser
from werkzeug.http import parse_options_header

from shared.domain.errors import MalformedRequest, TooLarge, UnsupportedMedia
from shared.domain.name_encodings import UNIX_ENCODINGS, decode_name, guess_encoding, is_utf8

#: Bytes read from the client at a time.
READ_BYTES = 64 * 1024
#: Bytes of one header line of a part; a long file name fits in many times over.
MAX_HEADER_BYTES = 64 * 1024
#: Parts beside the files, such as `metadata` and `keys`.
OTHER_PARTS = 16


@dataclass
class Part:
    """One part of a form. `filename` is None for a field. Read `chunks` to the end before asking for the next part."""

    name: str
    filename: str | None
    chunks: Iterator[bytes]

    def is_empty(self) -> bool:
        """Return whether the part has no content; the chunk read to find out stays in `chunks`."""
        first = next(self.chunks, None)
        if first is not None:
            self.chunks = chain([first], self.chunks)
        return first is None

    def text(self, max_bytes: int) -> bytes:
        """Return a field's whole content. Raise TooLarge if it is longer than `max_bytes`."""
        content = b""
        for chunk in self.chunks:
            content += chunk
            if len(content) > max_bytes:
                raise TooLarge(f"the part {self.name!r} is longer than {max_bytes} bytes")
        return content


def read_parts(stream: IO[bytes], content_type: str, max_files: int) -> Iterator[Part]:
    """Yield the parts of a body; content that the caller leaves unread is skipped.

    Raise UnsupportedMedia if `content_type` has no boundary, MalformedRequest if the body is not valid multipart or is
    cut short, and TooLarge if it has more than `max_files` files and OTHER_PARTS fields or too long headers.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise UnsupportedMedia("the content type multipart/form-data needs a boundary")
    parser = PushMultipartParser(
        boundary.encode("latin-1", "replace"),
        max_header_size=MAX_HEADER_BYTES,
        max_segment_count=max_files + OTHER_PARTS,
        header_charset="latin-1",  # decodes any bytes: a file name that is not UTF-8 does not fail the other files
    )
    events = _events(parser, stream, max_files)
    for event in events:
        if isinstance(event, MultipartSegment):
            chunks: Iterator[bytes] = iter(events.__next__, None)  # the parser ends each part with None
            name, filename = _names(event.header("Content-Disposition"))
            yield Part(name, filename, chunks)
            for _ in chunks:
                pass


def _names(disposition: str) -> tuple[str, str | None]:
    """Return a part's name and file name; unlike the parser's own, also one in RFC 5987's form (`filename*`)."""
    raw = disposition.encode("latin-1")
    encoding = None if is_utf8(raw) else guess_encoding([raw], UNIX_ENCODINGS)
    options = parse_options_header(decode_name(raw, encoding))[1]
    return options.get("name", ""), options.get("filename")


def _events(parser: PushMultipartParser, stream: IO[bytes], max_files: int) -> Iterator[Any]:
    try:
        yield from parser.parse_blocking(stream.read, READ_BYTES)
    except ParserLimitReached as error:
        raise TooLarge(
            f"the multipart body is over a limit ({error}): send at most {max_files} files in one request, "
            f"with at most {MAX_HEADER_BYTES} bytes in each header line"
        ) from error
    except MultipartError as error:
        raise MalformedRequest(f"the multipart body is malformed: {error}") from error
