"""A stand-in for an S3 service that takes its time for each request and accepts any PUT, without keeping it."""

from __future__ import annotations

import asyncio
import sys

HEADERS = b'HTTP/1.1 200 OK\r\nETag: "none"\r\nContent-Length: 0\r\n\r\n'


async def serve(delay_s: float) -> None:
    """Print the port and serve until the process is killed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines = head.lower().split(b"\r\n")
            length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
            await reader.readexactly(length)
            await asyncio.sleep(delay_s)
            writer.write(HEADERS)

    def log(task: asyncio.Task[None]) -> None:
        task.cancelled() or task.exception()  # a connection that was closed

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.create_task(answer(reader, writer)).add_done_callback(log)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
