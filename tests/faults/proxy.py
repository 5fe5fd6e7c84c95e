"""A TCP proxy between the service and Redis that can delay, break and refuse."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cli.stack.embedded_redis import free_port

CHUNK_BYTES = 65536


@dataclass
class Proxy:
    """Forwards connections from `port` to `target`. Any thread may set its faults."""

    target: int
    port: int = field(default_factory=free_port)
    #: Whether existing and new connections are closed at once.
    is_down: bool = False
    #: Seconds by which each response is delayed.
    delay_s: float = 0.0
    #: The next request that contains one of these reaches Redis, but the connection closes before the response.
    cuts: set[bytes] = field(default_factory=set)
    #: Redis's error, such as "LOADING …", that answers every command of Redis; "" to forward commands.
    refusal: str = ""
    #: Whether nothing is forwarded, in either direction, as if a cable were cut.
    is_cut_off: bool = False
    listens: threading.Event = field(default_factory=threading.Event)

    async def serve(self, over: asyncio.Event) -> None:
        """Serve until `over`, then close every connection."""
        async with await asyncio.start_server(self._connected, "127.0.0.1", self.port) as server:
            self.listens.set()
            await over.wait()
            for listening in server.sockets:  # a connection accepted while the server closes would stay open
                asyncio.get_running_loop().remove_reader(listening.fileno())
            self.is_down = True
            while links := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.gather(*links, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            answers, requests = await asyncio.open_connection("127.0.0.1", self.target)
            link = Link(self)
            pumps = [asyncio.ensure_future(link.pass_requests(reader, requests, writer))]
            pumps.append(asyncio.ensure_future(link.pass_answers(answers, writer)))
            pumps.append(asyncio.ensure_future(link.until_down()))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            requests.transport.abort()
        writer.transport.abort()


class Link:
    """Serve one connection."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy, self._is_cut = proxy, False

    async def pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        begun = b""  # of a command that is refused
        while content := await reader.read(CHUNK_BYTES):
            await self._while_cut_off()
            if self._proxy.refusal or begun:
                count, begun = commands(begun + content)
                client.write(f"-{self._proxy.refusal}\r\n".encode() * count)
                await client.drain()
                continue
            if found := {cut for cut in self._proxy.cuts if cut in content}:
                self._proxy.cuts -= found
                self._is_cut = True
            writer.write(content)
            await writer.drain()

    async def pass_answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while content := await reader.read(CHUNK_BYTES):
            if self._is_cut:
                return
            await asyncio.sleep(self._proxy.delay_s)
            await self._while_cut_off()
            writer.write(content)
            await writer.drain()

    async def _while_cut_off(self) -> None:
        while self._proxy.is_cut_off:
            await asyncio.sleep(0.01)

    async def until_down(self) -> None:
        while not self._proxy.is_down:
            await asyncio.sleep(0.1)


def commands(content: bytes) -> tuple[int, bytes]:
    """Return the number of whole commands in a part of Redis's protocol, and the rest."""
    count = 0
    while content.startswith(b"*"):
        line, *rest = content.partition(b"\r\n")
        rest = rest[1]
        for _ in range(int(line[1:] or 0)):
            length, end, rest = rest.partition(b"\r\n")
            size = int(length[1:]) + 2 if end else 1
            if len(rest) < size:
                return count, content
            rest = rest[size:]
        count, content = count + 1, rest
    return count, content


@contextmanager
def running_proxy(target: int) -> Iterator[Proxy]:
    """Run a proxy in a thread."""
    proxy, loop, over = Proxy(target), asyncio.new_event_loop(), asyncio.Event()

    def run() -> None:
        loop.run_until_complete(proxy.serve(over))
        loop.close()

    thread = threading.Thread(target=run, name="proxy")
    thread.start()
    proxy.listens.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
