"""The multipart reader, compared with Werkzeug's form parser and over every way to cut a stream."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import MultiPartParser

from shared.domain.errors import InvalidRequest, MalformedRequest, TooLarge, UnsupportedMedia
from tests.integration.helpers import BOUNDARY, MULTIPART, multipart
from web.uploads.multipart import MAX_HEADER_BYTES, READ_BYTES, read_parts

#: Bytes with a meaning in multipart more often than others, and now and then the boundary itself.
pieces = st.sampled_from(
    [b"\r", b"\n", b"\r\n", b"-", b"--", b"--" + BOUNDARY.encode(), b"\r\n--" + BOUNDARY[:9].encode()]
)
contents = st.lists(pieces | st.binary(max_size=40), max_size=12).map(b"".join)
names = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"], exclude_characters='"\\'), min_size=1
)
parts = st.lists(st.tuples(st.sampled_from(["files", "metadata", "keys"]), st.none() | names, contents), max_size=6)


class Trickle(io.BytesIO):
    """A stream that returns chunks of given sizes, whatever size is asked for."""

    def __init__(self, whole: bytes, sizes: list[int]) -> None:
        super().__init__(whole)
        self._sizes = iter(sizes)

    def read(self, _size: int | None = -1) -> bytes:
        return super().read(next(self._sizes, -1))


def body_of(wanted) -> bytes:
    def disposition(name, filename):
        return f'name="{name}"' + ("" if filename is None else f'; filename="{filename}"')

    return multipart(*((disposition(name, filename).encode(), content) for name, filename, content in wanted))


def read(stream: io.BytesIO, max_files: int = 100) -> list[tuple[str, str | None, bytes]]:
    return [(part.name, part.filename, b"".join(part.chunks)) for part in read_parts(stream, MULTIPART, max_files)]


def holds_boundary(wanted) -> bool:
    """Return whether some content holds the boundary, which no client sends."""
    return any(b"--" + BOUNDARY.encode() in content for _, _, content in wanted)


@given(parts.filter(lambda wanted: not holds_boundary(wanted)), st.lists(st.integers(1, 50), max_size=200))
def test_parts_do_not_depend_on_how_the_stream_is_cut(wanted, sizes):
    body = body_of(wanted)
    assert read(Trickle(body, sizes)) == read(Trickle(body, [1] * len(body))) == wanted


@given(parts.filter(lambda wanted: not holds_boundary(wanted)))
def test_same_as_werkzeugs_parser(wanted):
    body = body_of(wanted)
    theirs = MultiPartParser(stream_factory=lambda **_: io.BytesIO())
    form, files = theirs.parse(io.BytesIO(body), BOUNDARY.encode(), len(body))
    found = read(io.BytesIO(body))
    assert [(name, file.filename, file.read()) for name, file in files.items(multi=True)] == sorted(
        ((name, filename, content) for name, filename, content in found if filename is not None),
        key=lambda part: list(files).index(part[0]),
    )
    assert [(name, text) for name, text in form.items(multi=True)] == sorted(
        ((name, content.decode(errors="replace")) for name, filename, content in found if filename is None),
        key=lambda part: list(form).index(part[0]),
    )


@given(parts.filter(lambda wanted: wanted and not holds_boundary(wanted)), st.data())
def test_body_that_is_cut_short_is_malformed(wanted, data):
    body = body_of(wanted)
    end = data.draw(st.integers(0, len(body) - len(BOUNDARY) - 5))
    with pytest.raises(MalformedRequest):
        read(io.BytesIO(body[:end]))


@given(st.binary(max_size=300))
def test_noise_is_malformed(noise):
    with pytest.raises(MalformedRequest):
        read(io.BytesIO(noise))


@given(parts, st.data())
def test_damaged_body_raises_only_our_errors(wanted, data):
    body = bytearray(body_of(wanted))
    for place, piece in data.draw(st.lists(st.tuples(st.integers(0, len(body)), pieces | st.binary(max_size=3)))):
        body[place : place + 1] = piece
    with contextlib.suppress(InvalidRequest):
        read(io.BytesIO(bytes(body)))


def test_unread_content_is_skipped():
    body = body_of([("files", "a", b"x" * 200_000), ("files", "b", b"y")])
    assert [part.filename for part in read_parts(io.BytesIO(body), MULTIPART, 9)] == ["a", "b"]


def test_is_empty_keeps_the_content():
    body = body_of([("files", "a", b""), ("files", "b", b"x" * 200_000)])
    found = [(part.is_empty(), b"".join(part.chunks)) for part in read_parts(io.BytesIO(body), MULTIPART, 9)]
    assert found == [(True, b""), (False, b"x" * 200_000)]


def test_large_part_is_read_in_small_chunks():
    """A file is never in memory as a whole."""
    body = body_of([("files", "a", b"x" * 4_000_000)])
    (part,) = (list(part.chunks) for part in read_parts(io.BytesIO(body), MULTIPART, 9) if part.name)
    assert max(map(len, part)) <= 2 * READ_BYTES and sum(map(len, part)) == 4_000_000


@pytest.mark.parametrize("kind", ["multipart/form-data", 'multipart/form-data; boundary=""', ""])
def test_no_boundary(kind):
    with pytest.raises(UnsupportedMedia):
        list(read_parts(io.BytesIO(b""), kind, 9))


def test_too_many_parts_and_too_long_headers():
    with pytest.raises(TooLarge):
        read(io.BytesIO(body_of([("files", "a", b"")] * 40)), max_files=20)
    with pytest.raises(TooLarge):
        read(io.BytesIO(body_of([("files", "n" * (2 * MAX_HEADER_BYTES), b"")])))


def test_text_of_a_field_has_a_limit():
    body = body_of([("metadata", None, b"x" * 1000)])
    assert [part.text(1000) for part in read_parts(io.BytesIO(body), MULTIPART, 9)] == [b"x" * 1000]
    with pytest.raises(TooLarge):
        [part.text(999) for part in read_parts(io.BytesIO(body), MULTIPART, 9)]
