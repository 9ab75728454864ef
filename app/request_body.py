"""The body of a request: its content type, and its bytes up to a limit."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout

from app.client_socket import ClientSocket

if TYPE_CHECKING:
    from typing import IO

    from app.route import Environ

_STEP_BYTES = 1 << 16
_DISCARDED_BYTES = 1 << 28
_DISCARD_SECONDS = 10


def read(environ: Environ, limit: int) -> bytes:
    """Return the whole body.

    Raises RequestEntityTooLarge if it is longer than `limit` bytes, RequestTimeout if the worker cut the client off,
    and BadRequest if the body breaks off or is chunked wrongly: a server finds that out only while it reads, and each
    server has its own exceptions for it.
    """
    stream: IO[bytes] = environ["wsgi.input"]
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        content = stream.read(length or limit + 1) if length <= limit else b""
        if max(length, len(content)) > limit:
            _discard(stream)
    except Exception as error:
        raise _explain_end(environ) from error
    if max(length, len(content)) > limit:
        raise RequestEntityTooLarge(f"The body is longer than {limit} bytes: send fewer rows at a time.")
    if len(content) < length:
        raise _explain_end(environ)
    return content


def is_json(environ: Environ) -> bool:
    """Whether the content type is JSON: application/json, or a type whose name ends in +json."""
    kind: str = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _explain_end(environ: Environ) -> HTTPException:
    """Return the error of a body that ends too early."""
    client = environ.get("gunicorn.socket")
    if isinstance(client, ClientSocket) and client.timed_out:
        return RequestTimeout("The body took too long: send it faster, or send less at a time.")
    return BadRequest("The body is incomplete or wrongly chunked: check Content-Length or Transfer-Encoding.")


def _discard(stream: IO[bytes]) -> None:
    """Read what the client still sends: most clients read no response before they have sent everything."""
    deadline = time.monotonic() + _DISCARD_SECONDS
    for _ in range(_DISCARDED_BYTES // _STEP_BYTES):
        if time.monotonic() > deadline or not stream.read(_STEP_BYTES):
            return
