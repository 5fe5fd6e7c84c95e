"""The files and fields of a request: the parts of a multipart body, or the body itself as one file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from flask import Request

from shared.domain.errors import Fault, InvalidRequest, UnsupportedMedia
from shared.images.formats import FORMATS
from web.uploads.multipart import Part, read_parts

MULTIPART = "multipart/form-data"
#: Content types of a raw body that is an archive, and of one whose type is not given.
ARCHIVE_TYPES = {
    "application/zip",
    "application/x-zip-compressed",
    "application/x-tar",
    "application/x-gtar",
    "application/x-compressed-tar",
    "application/gzip",
    "application/x-gzip",
    "application/x-bzip2",
    "application/x-xz",
    "application/zstd",
}
UNKNOWN_TYPE = "application/octet-stream"
READ_BYTES = 64 * 1024


def read_request(request: Request, fields: set[str], max_files: int) -> Iterator[Part]:
    """Yield the parts named `files`, each with a file name, and those named in `fields`, as they arrive.

    A body that is one file is yielded as the only part. Raise InvalidRequest for an unexpected part, and
    UnsupportedMedia for a content type that is neither multipart nor that of a picture or an archive.
    """
    if request.mimetype == MULTIPART:
        return _read_parts(request, fields, max_files)
    if is_file(request.mimetype):
        return iter([Part("files", _filename(request.mimetype), read_body(request.stream))])
    raise UnsupportedMedia(
        f"the content type {request.mimetype or 'none'} is not accepted: send multipart/form-data with parts named "
        "`files`, one picture (image/*), an archive (application/zip) or JSON"
    )


def is_file(mimetype: str) -> bool:
    """Return whether a body of this type is one file."""
    return mimetype.startswith("image/") or mimetype in ARCHIVE_TYPES or mimetype == UNKNOWN_TYPE


def read_body(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield a raw body in chunks."""
    while data := stream.read(READ_BYTES):
        yield data


def no_files(skipped: int = 0) -> InvalidRequest:
    """Return the error for a request without a file, or with `skipped` files in archives that are no pictures."""
    if skipped:
        detail = f"no picture: {skipped} files in archives were skipped, since operating systems or programs add them"
    else:
        detail = "no file"
    return InvalidRequest(f"the request has {detail}", [Fault("/files", "at least one file is needed")])


def no_file_name(part: str, example: str) -> InvalidRequest:
    """Return the error for a part that should be a file, such as `example`, but has no file name."""
    detail = f"has no file name, so it is not a file: add `filename=`, or with curl `-F {part}=@{example}`"
    return InvalidRequest(f"the part `{part}` {detail}", [Fault(f"/{part}", detail)])


def _read_parts(request: Request, fields: set[str], max_files: int) -> Iterator[Part]:
    for part in read_parts(request.stream, request.headers.get("Content-Type", ""), max_files):
        if part.name in fields:
            yield part
        elif part.name == "files" and part.filename is None:
            raise no_file_name("files", "cat.png")
        elif part.name != "files":
            expected = ", ".join(sorted(fields | {"files"}))
            kind = "a file" if part.filename is not None else "a field"
            raise InvalidRequest(
                f"the part {part.name!r} ({kind}) is not one of: {expected}", [Fault(f"/{part.name}", "not expected")]
            )
        elif not _is_blank(part):
            yield part


def _is_blank(part: Part) -> bool:
    """Return whether a browser sent this for a file input without a file: it has no name and no bytes."""
    return not part.filename and part.is_empty()


def _filename(mimetype: str) -> str:
    """Return a file name for a raw body, which has none, with the extension of its type."""
    extension = next((f.media_type.split("/")[1] for f in FORMATS if f.media_type == mimetype), "")
    return f"upload.{extension}" if extension else "upload"
