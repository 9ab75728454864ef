"""What answers a request: a function from a WSGI environment to a reply, under a method and a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse

Environ = dict[str, Any]
"""A WSGI environment (PEP 3333)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response, whole."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()

    def send(self, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a WSGI server."""
        length = ("Content-Length", str(len(self.body)))
        start_response(STATUS_LINES[self.status], [("Content-Type", self.content_type), length, *self.headers])
        return (self.body,)


STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` for one method and one exact path; what it raises becomes a reply by `refuse`.

    `operation` describes it in /openapi.json (an Operation Object of OpenAPI 3.1).
    """

    method: str
    path: str
    answer: Callable[[Environ], Reply]
    refuse: Callable[[Exception], Reply]
    operation: Mapping[str, Any] | None = None

    def __call__(self, environ: Environ) -> Reply:
        """Answer, whatever happens."""
        try:
            return self.answer(environ)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client gets an answer
            return self.refuse(error)
