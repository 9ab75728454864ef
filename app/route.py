"""A route: a function from a WSGI environment to a reply, for one method and path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Environ = dict[str, Any]
"""A WSGI environment (PEP 3333)."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete HTTP response; `rows` is the number of rows predicted for it."""

    body: bytes
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """One method and one exact path: `answer` handles the request, `handle_error` what `answer` raises.

    `operation` describes the route in /openapi.json (an Operation Object of OpenAPI 3.1).
    A `probe` is what a platform polls: it needs no API key and is not logged.
    `offers` are the media types that the route can answer with; a request that accepts none of them gets a 406.
    If there are none, the Accept header is ignored, as RFC 9110 (12.5.1) allows.
    """

    method: str
    path: str
    answer: Callable[[Environ], Reply]
    handle_error: Callable[[Exception], Reply]
    operation: Mapping[str, Any] | None = None
    probe: bool = False
    offers: tuple[str, ...] = ()

    def __call__(self, environ: Environ) -> Reply:
        """Answer a request, with an error document if `answer` fails."""
        try:
            return self.answer(environ)
        except Exception as error:  # noqa: BLE001 - every client gets a response
            return self.handle_error(error)
