"""Malformed or oversized HTTP requests never reach the app, but get a problem document."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import pytest


def answer_to(service, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send raw bytes; return status, headers and body."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /v1/jobs?after=" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nCookie: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nBad Name: 1\r\n\r\n", 400),
        (b"GET /v1/jobs HTTP/9.9\r\n\r\n", 400),
        ("GÉT /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n".encode(), 400),
    ],
)
def test_a_malformed_request_gets_a_problem_document(service, request_bytes, status):
    found, headers, body = answer_to(service, request_bytes)
    assert found == status
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert problem["status"] == status and problem["title"] and problem["detail"]


def test_a_doubled_slash_is_not_found_and_no_redirect(http):
    answer = http.get("/v1//jobs")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
