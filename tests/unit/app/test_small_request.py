"""Which requests the worker answers without a thread: those that cannot block it."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app.small_request import has_small_request

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    client, server = socket.socketpair()
    with client, server:
        yield client, server


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\ncontent-length:3 \r\nHost: x\r\n\r\nabcGET",
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\nContent-Length: 9\r\n",
    ],
)
def test_a_complete_post_is_small_and_stays_in_the_socket(request_: bytes, ends: Ends) -> None:
    client, server = ends
    client.sendall(request_)

    assert has_small_request(server)
    assert server.recv(9999) == request_


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"POST / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 0\r\ncontent-length: 3\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 9999999999999\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n" + b"x" * 9000,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_a_request_that_could_block_the_worker_is_not_small(request_: bytes, ends: Ends) -> None:
    client, server = ends
    client.sendall(request_)

    assert not has_small_request(server)


def test_a_request_of_a_client_that_does_not_read_is_not_small(ends: Ends) -> None:
    client, server = ends
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.sendall(b"a response that nobody read")

    assert not has_small_request(server)


def test_a_closed_connection_has_no_request(ends: Ends) -> None:
    client, server = ends
    client.close()

    assert not has_small_request(server)
