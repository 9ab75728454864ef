"""gunicorn's threaded worker: prompt with small requests, strict with slow clients, and clear about what is no HTTP."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any

from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from app import problem
from app.prompt import is_prompt
from app.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

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
_LEAVE_SECONDS = 2
_UNREAD_BYTES = 1 << 16


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers small requests at once, reads from a client for REQUEST_SECONDS, and writes to it for as long again.

    A thread costs more than a prediction: queues, locks, and a wait for the interpreter's. So a small POST that has
    arrived whole is answered in the main loop. It can keep nobody waiting: it needs nothing more from its client, and
    where the client has no room for the answer, a thread sends the rest.

    gunicorn's own threads wait for the rest of a request without an end, so that a few clients which stall would hold
    them all. A timeout on the socket would start anew with every byte and cost a system call each time. So the main
    loop, which comes by anyway, shuts the reading side of a connection that is late: its thread sees the end of the
    stream, and can still answer.

    A client that has connected and says nothing, or that was told that the connection ends and does not hang up, costs
    no thread and no time: gunicorn would wait for the one in a thread, for the other in the main loop.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own signature
        super().__init__(*args, **kwargs)
        self._seconds: float = self.app.settings.request_seconds
        self._since: dict[TConn, float] = {}
        self._leaving: dict[TConn, float] = {}
        self._next_look = 0.0

    def enqueue_req(self, conn: TConn) -> None:
        """Answer on a connection that can be read, at once or in a thread; wait for the first request on a new one."""
        if not isinstance(conn.sock, Wire):
            self._welcome(conn)
        elif _is_read_ahead(conn) or not is_prompt(conn.sock):
            self._in_a_thread(conn, self.handle)
        else:
            self._answer(conn)

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

    def finish_request(self, conn: TConn, fs: Future[object]) -> None:
        """Wait for the next request on a connection, or end it."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            self._part(conn)

    def murder_pending(self) -> None:
        """Close what waits too long, in the main loop, after each of its rounds."""
        super().murder_pending()
        now = time.monotonic()
        if now > self._next_look:
            self._next_look = now + _LOOK_SECONDS
            for conn, since in self._since.copy().items():
                if now - since > self._seconds:
                    _hurry(conn, enough=now - since > 2 * self._seconds)
            for conn, since in self._leaving.copy().items():
                if now - since > _LEAVE_SECONDS:
                    self._leave(conn)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """End at once, but from the main loop: the signal may have interrupted it while it holds the pool's lock."""
        self.method_queue.defer(self._quit, sig, frame)

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

    def _quit(self, sig: int, frame: FrameType | None) -> None:
        """Cut off whoever is being answered, or their threads would keep the process."""
        self.tpool.shutdown(wait=False, cancel_futures=True)
        for conn in self._since.copy():
            _hurry(conn, enough=True)
        super().handle_quit(sig, frame)

    def _welcome(self, conn: TConn) -> None:
        conn.sock = Wire.of(conn.sock)
        conn.data_ready = True  # by the time that it is handled
        conn.set_timeout()
        conn.sock.settimeout(0)
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_client_socket_readable, conn))

    def _answer(self, conn: TConn) -> None:
        conn.sock.holding = True
        kept_alive = self.handle(conn)
        if conn.sock.release():
            done: Future[object] = Future()
            done.set_result(kept_alive)
            self.finish_request(conn, done)
        else:
            self._in_a_thread(conn, partial(self._deliver, kept_alive))

    def _deliver(self, kept_alive: object, conn: TConn) -> object:
        self._since[conn] = time.monotonic()
        try:
            conn.sock.send_rest()
            return kept_alive
        finally:
            del self._since[conn]

    def _in_a_thread(self, conn: TConn, work: Callable[[TConn], object]) -> None:
        done = self.tpool.submit(work, conn)
        done.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _part(self, conn: TConn) -> None:
        """Say that no more comes, and hear the client out: a close would cut short an answer that is under way."""
        with suppress(OSError):  # it may have ended meanwhile
            conn.sock.settimeout(0)
            conn.sock.shutdown(socket.SHUT_WR)
        if _has_ended(conn.sock):
            self._close(conn)
        else:
            self._leaving[conn] = time.monotonic()
            self.poller.register(conn.sock, EVENT_READ, partial(self._hear_out, conn))

    def _hear_out(self, conn: TConn, wire: Wire) -> None:
        if _has_ended(wire):
            self._leave(conn)

    def _leave(self, conn: TConn) -> None:
        del self._leaving[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()


def _has_ended(wire: Wire) -> bool:
    """Take in what a client has sent that nobody reads; whether it sends no more."""
    try:
        return not wire.recv(_UNREAD_BYTES)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _is_read_ahead(conn: TConn) -> bool:
    """Whether a part of the next request is in memory: what the socket still holds does not begin one."""
    return conn.parser is not None and conn.parser.unreader.buf.getbuffer().nbytes > 0


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
