"""What `web.server` changes in gunicorn."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios

import pytest
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader

from web import server as web_server
from web.server import RECEIVE_BYTES, linger, receive_in_pieces


def waiting(connection: socket.socket) -> int:
    """Return the bytes that have arrived and were not received."""
    return int(struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, b"\0" * 4))[0])


def test_gunicorn_receives_no_more_of_a_body_than_the_app_reads():
    receive_in_pieces()
    client, server = socket.socketpair()
    with client, server:
        client.sendall(bytes(2 * RECEIVE_BYTES))
        body = Body(LengthReader(SocketUnreader(server), 2 * RECEIVE_BYTES))
        assert len(body.read(RECEIVE_BYTES)) == RECEIVE_BYTES
        assert waiting(server) == RECEIVE_BYTES
        assert len(body.read()) == RECEIVE_BYTES


def test_a_client_that_stays_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a client that does not close its side, Then who closes the socket afterwards has nothing to wait for."""
    monkeypatch.setattr(web_server, "LINGER_S", 0.1)
    client, server = socket.socketpair()
    with client, server:
        client.sendall(b"more")
        linger(server)
        server.setblocking(False)
        assert server.recv(1) == b""
        assert client.recv(1) == b"", "it was told that nothing follows"
