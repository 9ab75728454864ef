"""Which requests the worker answers at once, without a thread: those that cannot keep it waiting."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from app.prompt import is_prompt

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
def test_a_whole_post_is_prompt_and_stays_to_be_read(request_: bytes, ends: Ends) -> None:
    client, server = ends
    client.sendall(request_)

    assert is_prompt(server)
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
def test_what_could_keep_the_worker_waiting_is_not(request_: bytes, ends: Ends) -> None:
    client, server = ends
    client.sendall(request_)

    assert not is_prompt(server)


def test_a_client_that_does_not_read_is_not(ends: Ends) -> None:
    client, server = ends
    client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.sendall(b"an answer that nobody took")

    assert not is_prompt(server)


def test_a_connection_that_was_closed_is_not(ends: Ends) -> None:
    client, server = ends
    client.close()

    assert not is_prompt(server)
