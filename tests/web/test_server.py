"""What `web.server` changes in gunicorn."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios

from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader

from web.server import RECEIVE_BYTES, receive_in_pieces


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
