"""A stand-in for an S3 service that takes its time for each request. It keeps what is PUT in memory, and counts."""

from __future__ import annotations

import asyncio
import sys

#: What is asked for at this path is the number of requests so far.
COUNT = b"/requests"
HEADERS = b'ETag: "none"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n'


class Stored:
    """The objects by path, and the number of requests for them."""

    def __init__(self) -> None:
        self.objects: dict[bytes, bytes] = {}
        self.requests = 0

    def answer(self, method: bytes, path: bytes, fields: dict[bytes, bytes], body: bytes) -> bytes:
        """Return the response to a PUT or a GET."""
        if path == COUNT:
            return _response(b"200 OK", b"%d" % self.requests)
        self.requests += 1
        if method == b"put":
            self.objects[path] = body
            return _response(b"200 OK", b"")
        content = self.objects.get(path)
        if content is None:
            return _response(b"404 Not Found", b"")
        if (wanted := fields.get(b"range")) is None:
            return _response(b"200 OK", content)
        first, last = map(int, wanted.removeprefix(b"bytes=").split(b"-"))
        place = b"Content-Range: bytes %d-%d/%d\r\n" % (first, last, len(content))
        return _response(b"206 Partial Content", content[first : last + 1], place)


def _response(status: bytes, content: bytes, fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\n%b%bContent-Length: %d\r\n\r\n%b" % (status, HEADERS, fields, len(content), content)


async def serve(delay_s: float) -> None:
    """Print the port and serve until the process is killed."""
    stored = Stored()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.lower().strip().split(b"\r\n")
            fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
            method, path, _ = first.split(b" ")
            body = await reader.readexactly(int(fields.get(b"content-length", 0)))
            if path != COUNT:
                await asyncio.sleep(delay_s)
            writer.write(stored.answer(method, path, fields, body))

    def log(task: asyncio.Task[None]) -> None:
        task.cancelled() or task.exception()  # a connection that was closed

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.create_task(answer(reader, writer)).add_done_callback(log)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
