"""How much is read of a body, and for how long, whatever its client says of it."""

from __future__ import annotations

import io
from typing import IO, cast

import pytest
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout

from app import body
from app.route import Environ

LIMIT = 100
MEGABYTE = 1 << 20


class Client:
    """A client that sends `size` bytes; `late` as the server's stream has it when it gave up waiting."""

    def __init__(self, size: int, *, late: bool = False) -> None:
        self.size = size
        self.late = late
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
def test_a_body_up_to_the_limit_is_given_whole(size: int, *, declared: bool) -> None:
    assert body.read(environ(io.BytesIO(b"x" * size), size if declared else None), LIMIT) == b"x" * size


@pytest.mark.parametrize("declared", [True, False], ids=["with its length", "chunked"])
@pytest.mark.parametrize("size", [LIMIT + 1, 100 * MEGABYTE])
def test_of_a_longer_one_little_is_held_at_a_time(size: int, *, declared: bool) -> None:
    client = Client(size)

    with pytest.raises(RequestEntityTooLarge):
        body.read(environ(client, size if declared else None), LIMIT)

    assert client.longest < MEGABYTE
    assert client.taken == size, "most clients read no answer before they have sent it all"


def test_what_does_not_end_is_not_taken_in_for_ever() -> None:
    client = Client(10**15)

    with pytest.raises(RequestEntityTooLarge):
        body.read(environ(client), LIMIT)

    assert client.taken < 300 * MEGABYTE


def test_what_trickles_is_not_taken_in_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(10**9)
    monkeypatch.setattr("time.monotonic", lambda: client.taken / 100_000)  # of bytes a second

    with pytest.raises(RequestEntityTooLarge):
        body.read(environ(client), LIMIT)

    assert client.taken < 2 * MEGABYTE


@pytest.mark.parametrize(("late", "error"), [(False, BadRequest), (True, RequestTimeout)])
def test_a_body_that_is_shorter_than_was_said_is_none(error: type[HTTPException], *, late: bool) -> None:
    with pytest.raises(error):
        body.read(environ(Client(LIMIT - 1, late=late), LIMIT), LIMIT)


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
def test_what_counts_as_json(kind: str, *, json: bool) -> None:
    assert body.is_json({"CONTENT_TYPE": kind}) == json


def test_no_content_type_is_not_json() -> None:
    assert not body.is_json({})
