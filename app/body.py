"""The body of a request: what it says it is, and its bytes, up to a limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout

if TYPE_CHECKING:
    from typing import IO

    from app.route import Environ

_STEP = 1 << 16
_DISCARDED_BYTES = 1 << 28
_DISCARD_SECONDS = 10


def read(environ: Environ, limit: int) -> bytes:
    """Give the whole body.

    Raises RequestEntityTooLarge when it is longer than `limit` bytes, RequestTimeout when the server did not wait for
    the rest (app.worker then calls the stream late), BadRequest when it breaks off or is chunked wrongly: the server
    finds that out only while it is read, and each server has exceptions of its own for it.
    """
    stream: IO[bytes] = environ["wsgi.input"]
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        content = stream.read(length or limit + 1) if length <= limit else b""
        if max(length, len(content)) > limit:
            _discard(stream)
    except Exception as error:
        raise _broken(stream) from error
    if max(length, len(content)) > limit:
        raise RequestEntityTooLarge(f"The body is longer than {limit} bytes: send fewer rows at a time.")
    if len(content) < length:
        raise _broken(stream)
    return content


def _broken(stream: IO[bytes]) -> HTTPException:
    if getattr(stream, "late", False):
        return RequestTimeout("The body took too long: send it faster, or less of it at a time.")
    return BadRequest("The body could not be read to its end.")


def _discard(stream: IO[bytes]) -> None:
    """Take in what the client still sends: most clients read no answer before they have sent it all."""
    deadline = time.monotonic() + _DISCARD_SECONDS
    for _ in range(_DISCARDED_BYTES // _STEP):
        if time.monotonic() > deadline or not stream.read(_STEP):
            return


def is_json(environ: Environ) -> bool:
    """Whether the request says that its body is JSON: application/json, or a type whose name ends in +json."""
    kind: str = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
