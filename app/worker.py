"""gunicorn's threaded worker: prompt with small requests, strict with slow clients, and clear about what is no HTTP."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from app import problem
from app.prompt import is_prompt

if TYPE_CHECKING:
    from gunicorn.http.message import Request  # type: ignore[import-untyped]

    from app.route import Reply

# What gunicorn's parser refuses is a 400, except for these. A transfer coding that is not understood would be a 501
# (RFC 9112, section 6.1), but 5xx is kept for what is the service's own fault.
_STATUSES = {
    errors.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}
_LOOK_SECONDS = 0.5


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers small requests at once, reads from a client for REQUEST_SECONDS, and writes to it for as long again.

    A thread costs more than a prediction: queues, locks, and a wait for the interpreter's. So a small POST that has
    arrived whole is answered in the main loop. It can keep nobody waiting: it needs nothing more from its client, and
    its answer fits into the socket.

    gunicorn's own threads wait for the rest of a request without an end, so that a few clients which stall would hold
    them all. A timeout on the socket would start anew with every byte and cost a system call each time. So the main
    loop, which comes by anyway, shuts the reading side of a connection that is late: its thread sees the end of the
    stream, and can still answer.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own signature
        super().__init__(*args, **kwargs)
        self._seconds: float = self.app.settings.request_seconds
        self._since: dict[TConn, float] = {}
        self._next_look = 0.0

    def enqueue_req(self, conn: TConn) -> None:
        """Answer on a connection that can be read, at once or in a thread."""
        if not is_prompt(conn.sock):
            super().enqueue_req(conn)
            return
        conn.data_ready = True
        answered: Future[object] = Future()
        answered.set_result(self.handle(conn))
        self.finish_request(conn, answered)

    def handle(self, conn: TConn) -> object:
        """Handle a request."""
        self._since[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            del self._since[conn]

    def handle_request(self, req: Request, conn: TConn) -> object:
        """Handle a request whose head has been read."""
        conn.body = req.body
        return super().handle_request(req, conn)

    def murder_pending(self) -> None:
        """Close what waits too long, in the main loop, after each of its rounds."""
        super().murder_pending()
        now = time.monotonic()
        if now > self._next_look:
            self._next_look = now + _LOOK_SECONDS
            for conn, since in self._since.copy().items():
                if now - since > self._seconds:
                    _hurry(conn, enough=now - since > 2 * self._seconds)

    def handle_error(
        self,
        req: Request | None,  # noqa: ARG002 - gunicorn's own signature
        client: socket.socket,
        addr: object,  # noqa: ARG002
        exc: Exception,
    ) -> None:
        """Answer what gunicorn could not read, or could not answer."""
        if isinstance(exc, errors.ParseException) and not isinstance(
            exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName
        ):
            reply = problem.problem(
                _STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST), f"The request's head was refused: {str(exc)[:200]}"
            )
        else:
            reply = problem.refuse(exc)
        with suppress(OSError):
            client.sendall(_message(reply, self.app.door.misunderstood(reply)))


def _hurry(conn: TConn, *, enough: bool) -> None:
    """Tell a connection's thread that there is no more to read, and if that is enough, no more to write."""
    if body := getattr(conn, "body", None):
        body.late = True
    with suppress(OSError):  # it may have ended meanwhile
        conn.sock.shutdown(socket.SHUT_RDWR if enough else socket.SHUT_RD)


def _message(reply: Reply, identity: str) -> bytes:
    head = (
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\nX-Request-ID: {identity}\r\n\r\n"
    )
    return head.encode("latin-1") + reply.body
