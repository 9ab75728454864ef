"""Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): which web pages may send requests."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from app.route import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.route import Environ

_PREFLIGHT = (
    ("Access-Control-Allow-Methods", "GET, HEAD, POST"),
    ("Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Traceparent, X-Request-ID"),
    ("Access-Control-Max-Age", "7200"),  # browsers cap it there
)
_VARY = ("Vary", "Origin")
_EXPOSE = ("Access-Control-Expose-Headers", "X-Request-ID")


class Cors:
    """The origins whose pages may read responses; `*` is all of them."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def make_headers(self, environ: Environ) -> tuple[tuple[str, str], ...]:
        """Return the headers that let the page which sent the request read the response."""
        if "*" in self._origins:
            return (("Access-Control-Allow-Origin", "*"), _EXPOSE)
        origin = environ.get("HTTP_ORIGIN")
        return (("Access-Control-Allow-Origin", origin), _EXPOSE, _VARY) if origin in self._origins else (_VARY,)

    def answer_preflight(self, environ: Environ) -> Reply | None:
        """Answer a browser's preflight request; None for every other request."""
        if environ["REQUEST_METHOD"] != "OPTIONS" or "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ:
            return None
        return Reply(b"", status=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)
