"""What every request passes, whichever route it is for: keys, negotiation, CORS, metrics, log, headers."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.exceptions import NotAcceptable, Unauthorized

from app import problem
from app.api_keys import ApiKeys
from app.cors import Cors
from app.log import RequestLog
from app.negotiation import is_acceptable
from app.request_id import choose_request_id
from app.route import Reply, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from app.metrics import Meter
    from app.route import Environ
    from app.settings import Settings

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

# A response belongs to one request, and its content type is right: browsers must not cache it, or guess another.
_NO_STORE = ("Cache-Control", "no-store")
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")
# Pages load only the service's own scripts and styles, and no other page may frame them.
_PAGE = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
            "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
        ),
    ),
    ("Referrer-Policy", "no-referrer"),
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A route, its series in the metrics, and the replies made at start for requests that it does not get."""

    route: Route
    series: int
    unauthorized: Reply
    not_acceptable: Reply


class Middleware:
    """WSGI middleware (PEP 3333) that answers the service's routes itself, in front of Flask's dispatch.

    That dispatch costs more than a prediction. Flask knows the same routes and gets the rest, such as other methods
    and unknown paths.
    """

    def __init__(self, application: WSGIApplication, routes: Iterable[Route], meter: Meter, settings: Settings) -> None:
        def make_entry(route: Route) -> _Entry:
            unauthorized = route.handle_error(Unauthorized("Send one of the API keys: Authorization: Bearer KEY."))
            offers = " or ".join(route.offers)
            return _Entry(
                route,
                meter.find_series(route.method, route.path),
                replace(unauthorized, headers=(*unauthorized.headers, ("WWW-Authenticate", "Bearer"))),
                route.handle_error(NotAcceptable(f"The Accept header excludes {offers}: accept it.")),
            )

        self._entries = {(route.method, route.path): make_entry(route) for route in routes}
        # A HEAD is a GET whose body is not sent (RFC 9110, section 9.3.2).
        self._entries |= {("HEAD", path): entry for (method, path), entry in self._entries.items() if method == "GET"}
        self._unmatched = make_entry(Route("", "", _collect(application), problem.handle_error))
        self.meter = meter
        self._keys = ApiKeys(settings.all_api_keys) if settings.all_api_keys else None
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None
        self._log = RequestLog(settings.log_level) if settings.access_log else None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        began = time.perf_counter_ns()
        self.meter.enter()
        request_id = choose_request_id(environ)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        entry = self._entries.get((method, path), self._unmatched)
        reply = self._answer_early(entry, environ) or entry.route(environ)
        body, content_type = reply.body, reply.content_type
        taken = time.perf_counter_ns() - began
        # Before the response is sent: a client that has it finds itself in the metrics.
        self.meter.leave(entry.series, reply.status, taken, reply.rows)
        if self._log and not entry.route.probe:
            self._log(request_id, method, path, reply.status, taken, reply.rows, len(body))
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("X-Request-ID", request_id),
            _NO_STORE,
            _NO_SNIFF,
            *reply.headers,
        ]
        if self._cors:
            headers += self._cors.make_headers(environ)
        if content_type.startswith("text/html"):
            headers += _PAGE
        start_response(STATUS_LINES[reply.status], headers)
        return () if method == "HEAD" else (body,)

    def start_worker(self, slot: int) -> None:
        """Start in a worker that has just been forked, counting in its slot of the meter."""
        self.meter.use(slot)
        if self._log:
            self._log.start_batching()

    def stop_worker(self) -> None:
        """Write the log lines that a worker has left when it ends."""
        if self._log:
            self._log.flush()

    def record_malformed(self, reply: Reply) -> str:
        """Count and log the reply to bytes that are not an HTTP request; return its request id."""
        request_id = choose_request_id({})
        self.meter.enter()
        self.meter.leave(self._unmatched.series, reply.status, 0, 0)
        if self._log:
            self._log(request_id, "", "", reply.status, 0, 0, len(reply.body))
        return request_id

    def _answer_early(self, entry: _Entry, environ: Environ) -> Reply | None:
        """Answer a request that must not reach its route; None for all others."""
        if self._cors and (preflight := self._cors.answer_preflight(environ)):
            return preflight
        if self._keys and not entry.route.probe and not self._keys.admit(environ.get("HTTP_AUTHORIZATION", "")):
            return entry.unauthorized
        if entry.route.offers and not is_acceptable(environ.get("HTTP_ACCEPT", ""), entry.route.offers):
            return entry.not_acceptable
        return None


def _collect(application: WSGIApplication) -> Callable[[Environ], Reply]:
    """Make the `answer` of a route that collects the response of a WSGI application."""

    def answer(environ: Environ) -> Reply:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: object = None) -> Callable[..., object]:
            started.append((status, headers))
            return body.append

        body: list[bytes] = []
        chunks = application(environ, start_response)
        body += chunks
        if hasattr(chunks, "close"):
            chunks.close()
        status, headers = started[-1]
        by_name = {name.lower(): value for name, value in headers}
        others = tuple(pair for pair in headers if pair[0].lower() not in {"content-type", "content-length"})
        return Reply(b"".join(body), by_name.get("content-type", ""), int(status[:3]), others)

    return answer
