"""How much of a body is read, and for how long, whatever its client declares."""

from __future__ import annotations

import io
import socket
from typing import IO, cast

import pytest
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout

from app import request_body
from app.client_socket import ClientSocket
from app.route import Environ

LIMIT = 100
MEGABYTE = 1 << 20


class Client:
    """The stream of a client that sends `size` bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0
        self.longest = 0

    def read(self, size: int = -1) -> bytes:
        wanted = self.size - self.taken if size < 0 else min(size, self.size - self.taken)
        self.longest = max(self.longest, wanted)
        self.taken += wanted
        return bytes(wanted)


def environ(stream: object, length: int | None = None) -> Environ:
    return {"wsgi.input": cast("IO[bytes]", stream)} | ({} if length is None else {"CONTENT_LENGTH": str(length)})


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_up_to_the_limit_is_read_completely(size: int, *, declared: bool) -> None:
    assert request_body.read(environ(io.BytesIO(b"x" * size), size if declared else None), LIMIT) == b"x" * size


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "chunked"])
@pytest.mark.parametrize("size", [LIMIT + 1, 100 * MEGABYTE])
def test_a_longer_body_is_discarded_in_small_pieces(size: int, *, declared: bool) -> None:
    client = Client(size)

    with pytest.raises(RequestEntityTooLarge):
        request_body.read(environ(client, size if declared else None), LIMIT)

    assert client.longest < MEGABYTE
    assert client.taken == size, "most clients read no response before they have sent everything"


def test_an_endless_body_is_not_read_for_ever() -> None:
    client = Client(10**15)

    with pytest.raises(RequestEntityTooLarge):
        request_body.read(environ(client), LIMIT)

    assert client.taken < 300 * MEGABYTE


def test_a_trickling_body_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(10**9)
    monkeypatch.setattr("time.monotonic", lambda: client.taken / 100_000)  # of bytes a second

    with pytest.raises(RequestEntityTooLarge):
        request_body.read(environ(client), LIMIT)

    assert client.taken < 2 * MEGABYTE


@pytest.mark.parametrize(("late", "error"), [(False, BadRequest), (True, RequestTimeout)])
def test_an_incomplete_body_is_an_error_and_a_late_one_a_timeout(error: type[HTTPException], *, late: bool) -> None:
    with ClientSocket() as client:
        if late:
            client.cut_off(socket.SHUT_RD)

        with pytest.raises(error):
            request_body.read({**environ(Client(LIMIT - 1), LIMIT), "gunicorn.socket": client}, LIMIT)


def test_an_incomplete_body_is_an_error_under_every_server() -> None:
    with pytest.raises(BadRequest):
        request_body.read(environ(Client(LIMIT - 1), LIMIT), LIMIT)


@pytest.mark.parametrize(
    ("kind", "json"),
    [
        ("application/json", True),
        ("Application/JSON ; charset=utf-8", True),
        ("application/problem+JSON", True),
        ("application/notjson", False),
        ("text/json", False),
        ("application/json+xml", False),
        ("", False),
    ],
)
def test_content_types_that_count_as_json(kind: str, *, json: bool) -> None:
    assert request_body.is_json({"CONTENT_TYPE": kind}) == json


def test_no_content_type_is_not_json() -> None:
    assert not request_body.is_json({})
