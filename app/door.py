"""What every request passes on its way in and out, whatever it asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from werkzeug.exceptions import NotAcceptable, Unauthorized

from app import problem
from app.accept import admits
from app.cors import Cors
from app.keys import Keys
from app.log import RequestLog
from app.request_id import request_id
from app.route import Reply, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication

    from app.metrics import Meter
    from app.route import Environ
    from app.settings import Settings

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

# Answers are made for one question and are what they say; browsers take neither for something else.
_NO_STORE = ("Cache-Control", "no-store")
_NO_SNIFF = ("X-Content-Type-Options", "nosniff")
# Pages bring their own scripts and styles, load nothing from elsewhere, and appear in no other page's frame.
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
    """A route, its number in the metrics, and its refusals, made at start."""

    route: Route
    series: int
    unauthorized: Reply
    not_acceptable: Reply


class Door:
    """WSGI middleware: names, admits, counts and logs each request, and answers routes before Flask's dispatch.

    That dispatch costs more than a prediction. Flask knows the same routes and takes what is left, such as other
    methods and unknown paths.
    """

    def __init__(self, application: WSGIApplication, routes: Iterable[Route], meter: Meter, settings: Settings) -> None:
        def entry(route: Route) -> _Entry:
            unauthorized = route.refuse(Unauthorized("Send one of the service's API keys: Authorization: Bearer KEY."))
            acceptable = " or ".join(route.offers)
            return _Entry(
                route,
                meter.series(route.method, route.path),
                replace(unauthorized, headers=(*unauthorized.headers, ("WWW-Authenticate", "Bearer"))),
                route.refuse(NotAcceptable(f"The answer is {acceptable}, which the Accept header excludes.")),
            )

        self._entries = {(route.method, route.path): entry(route) for route in routes}
        # A HEAD is a GET whose body stays here (RFC 9110, section 9.3.2).
        self._entries |= {("HEAD", path): entry for (method, path), entry in self._entries.items() if method == "GET"}
        self._stranger = entry(Route("", "", _whole(application), problem.refuse))
        self.meter = meter
        self._keys = Keys(settings.all_api_keys) if settings.all_api_keys else None
        self._cors = Cors(settings.cors_origins) if settings.cors_origins else None
        self._log = RequestLog(settings.log_level) if settings.access_log else None

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        began = time.perf_counter_ns()
        self.meter.enter()
        identity = request_id(environ)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        entry = self._entries.get((method, path), self._stranger)
        reply = self._admit(entry, environ) or entry.route(environ)
        body, content_type = reply.body, reply.content_type
        taken = time.perf_counter_ns() - began
        # Before the answer goes out: a client that has it finds itself in the metrics.
        self.meter.leave(entry.series, reply.status, taken, reply.rows)
        if self._log and not entry.route.probe:
            self._log(identity, method, path, reply.status, taken, reply.rows, len(body))
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("X-Request-ID", identity),
            _NO_STORE,
            _NO_SNIFF,
            *reply.headers,
        ]
        if self._cors:
            headers += self._cors.headers(environ)
        if content_type.startswith("text/html"):
            headers += _PAGE
        start_response(STATUS_LINES[reply.status], headers)
        return () if method == "HEAD" else (body,)

    def begin(self, slot: int) -> None:
        """Begin as a worker that has just been forked, counting in its slot of the meter."""
        self.meter.use(slot)
        if self._log:
            self._log.gather()

    def end(self) -> None:
        """End as a worker: log what is not logged yet."""
        if self._log:
            self._log.flush()

    def misunderstood(self, reply: Reply) -> str:
        """Count and log an answer to what was no HTTP request, and give it its id."""
        identity = request_id({})
        self.meter.enter()
        self.meter.leave(self._stranger.series, reply.status, 0, 0)
        if self._log:
            self._log(identity, "", "", reply.status, 0, 0, len(reply.body))
        return identity

    def _admit(self, entry: _Entry, environ: Environ) -> Reply | None:
        """Give the answer to a request that does not get as far as its route."""
        if self._cors and (preflight := self._cors.preflight(environ)):
            return preflight
        if self._keys and not entry.route.probe and not self._keys.admit(environ.get("HTTP_AUTHORIZATION", "")):
            return entry.unauthorized
        if entry.route.offers and not admits(environ.get("HTTP_ACCEPT", ""), entry.route.offers):
            return entry.not_acceptable
        return None


def _whole(application: WSGIApplication) -> Callable[[Environ], Reply]:
    """Make a route's answer of a WSGI application."""

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
