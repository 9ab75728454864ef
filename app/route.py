"""What answers a request: a function from a WSGI environment to a reply, under a method and a path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Environ = dict[str, Any]
"""A WSGI environment (PEP 3333)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP response, whole; `rows` is how many were predicted for it."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """`answer` for one method and one exact path; what it raises becomes a reply by `refuse`.

    `operation` describes it in /openapi.json (an Operation Object of OpenAPI 3.1).
    A `probe` is asked by a platform, over and over: it needs no API key and leaves no line in the log.
    `offers` are the media types that the route answers with; a request that accepts none of them gets a 406.
    Where it is empty, the Accept header is ignored, as RFC 9110 (12.5.1) allows.
    """

    method: str
    path: str
    answer: Callable[[Environ], Reply]
    refuse: Callable[[Exception], Reply]
    operation: Mapping[str, Any] | None = None
    probe: bool = False
    offers: tuple[str, ...] = ()

    def __call__(self, environ: Environ) -> Reply:
        """Answer, whatever happens."""
        try:
            return self.answer(environ)
        except Exception as error:  # noqa: BLE001 - whatever it is, a client gets an answer
            return self.refuse(error)
