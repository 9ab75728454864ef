"""gunicorn's threaded worker, changed: small requests need no thread, and slow clients block none for long.

It overrides methods of gunicorn and uses attributes that gunicorn does not document: pyproject.toml caps the version,
and tests/unit/app/test_gunicorn.py lists each of them.
"""

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
from app.client_socket import ClientSocket
from app.small_request import has_small_request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from gunicorn.http.message import Request  # type: ignore[import-untyped]

    from app.route import Reply

# What gunicorn's parser rejects is a 400, except for these. An unknown transfer coding would be a 501 (RFC 9112,
# section 6.1), but 5xx is only for faults of the service.
_STATUSES = {
    errors.ForbiddenProxyRequest: HTTPStatus.FORBIDDEN,
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}
_CHECK_SECONDS = 0.5
_CLOSE_SECONDS = 2
_DISCARDED_BYTES = 1 << 16


class Worker(ThreadWorker):  # type: ignore[misc]
    """Answers small requests at once, reads from a client for REQUEST_SECONDS, and writes to it for as long again.

    A thread costs more than a prediction: queues, locks, and a wait for the interpreter's. So a small POST that has
    arrived completely is answered in the main loop. It cannot block the loop: it needs nothing more from its client,
    and if the client has no room for the response, a thread sends the rest.

    gunicorn's own threads wait for the rest of a request without a limit, so a few clients that stall would hold all
    of them. A timeout on the socket would start anew with every byte and cost a system call each time. So the main
    loop, which runs anyway, shuts down the reading side of a late connection: its thread sees the end of the stream,
    and can still respond.

    A client that connects and sends nothing, or that does not close a connection after its last response, costs no
    thread and no time: gunicorn would wait for the one in a thread, and for the other in the main loop.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - gunicorn's own signature
        super().__init__(*args, **kwargs)
        # The arbiter makes a worker before it forks it.
        self.slot: int = self.app.middleware.meter.claim()
        self._seconds: float = self.app.settings.request_seconds
        self._busy_since: dict[TConn, float] = {}
        self._closing_since: dict[TConn, float] = {}
        self._next_check = 0.0

    def enqueue_req(self, conn: TConn) -> None:
        """Answer on a readable connection, at once or in a thread; wait for the first request on a new one."""
        if not isinstance(conn.sock, ClientSocket):
            self._await_request(conn)
        elif _has_read_ahead(conn) or not has_small_request(conn.sock):
            self._submit(conn, self.handle)
        else:
            self._answer_at_once(conn)

    def handle(self, conn: TConn) -> object:
        """Handle a request."""
        self._busy_since[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            del self._busy_since[conn]

    def finish_request(self, conn: TConn, fs: Future[object]) -> None:
        """Wait for the next request on a connection, or close it."""
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            self._close_gracefully(conn)

    def murder_pending(self) -> None:
        """Close what is overdue; the main loop calls this in each of its rounds."""
        super().murder_pending()
        now = time.monotonic()
        if now > self._next_check:
            self._next_check = now + _CHECK_SECONDS
            for conn, since in self._busy_since.copy().items():
                if now - since > self._seconds:
                    conn.sock.cut_off(socket.SHUT_RDWR if now - since > 2 * self._seconds else socket.SHUT_RD)
            for conn, since in self._closing_since.copy().items():
                if now - since > _CLOSE_SECONDS:
                    self._finish_closing(conn)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """Quit from the main loop: the signal may have interrupted it while it holds the lock of the thread pool."""
        self.method_queue.defer(self._quit, sig, frame)

    def handle_error(
        self,
        req: Request | None,  # noqa: ARG002 - gunicorn's own signature
        client: socket.socket,
        addr: object,  # noqa: ARG002
        exc: Exception,
    ) -> None:
        """Respond to what gunicorn could not parse, or could not send."""
        if isinstance(exc, errors.ParseException) and not isinstance(
            exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName
        ):
            reply = problem.make_reply(
                _STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST), f"The request is not valid HTTP: {str(exc)[:200]}"
            )
        else:
            reply = problem.handle_error(exc)
        with suppress(OSError):
            client.sendall(_format_response(reply, self.app.middleware.record_malformed(reply)))

    def _quit(self, sig: int, frame: FrameType | None) -> None:
        """Quit, and cut off all clients: threads that serve them would keep the process alive."""
        self.tpool.shutdown(wait=False, cancel_futures=True)
        for conn in self._busy_since.copy():
            conn.sock.cut_off(socket.SHUT_RDWR)
        super().handle_quit(sig, frame)

    def _await_request(self, conn: TConn) -> None:
        conn.sock = ClientSocket.take_over(conn.sock)
        conn.data_ready = True  # by the time that it is handled
        conn.set_timeout()
        conn.sock.settimeout(0)
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_client_socket_readable, conn))

    def _answer_at_once(self, conn: TConn) -> None:
        conn.sock.buffering = True
        kept_alive = self.handle(conn)
        if conn.sock.flush():
            done: Future[object] = Future()
            done.set_result(kept_alive)
            self.finish_request(conn, done)
        else:
            self._submit(conn, partial(self._send_rest, kept_alive))

    def _send_rest(self, kept_alive: object, conn: TConn) -> object:
        self._busy_since[conn] = time.monotonic()
        try:
            conn.sock.send_rest()
            return kept_alive
        finally:
            del self._busy_since[conn]

    def _submit(self, conn: TConn, work: Callable[[TConn], object]) -> None:
        """Do something with a connection in a thread, and finish the request afterwards in the main loop."""
        done = self.tpool.submit(work, conn)
        done.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _close_gracefully(self, conn: TConn) -> None:
        """Stop sending, and read until the client does: closing now could cut short the response under way."""
        with suppress(OSError):  # it may have ended meanwhile
            conn.sock.settimeout(0)
            conn.sock.shutdown(socket.SHUT_WR)
        if _discard_input(conn.sock):
            self._close(conn)
        else:
            self._closing_since[conn] = time.monotonic()
            self.poller.register(conn.sock, EVENT_READ, partial(self._read_to_end, conn))

    def _read_to_end(self, conn: TConn, client: ClientSocket) -> None:
        if _discard_input(client):
            self._finish_closing(conn)

    def _finish_closing(self, conn: TConn) -> None:
        del self._closing_since[conn]
        self.poller.unregister(conn.sock)
        self._close(conn)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()


def _discard_input(client: ClientSocket) -> bool:
    """Discard what a client has sent; whether it sends no more."""
    try:
        return not client.recv(_DISCARDED_BYTES)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _has_read_ahead(conn: TConn) -> bool:
    """Whether a part of the next request is in memory: then what is in the socket is not the beginning of one."""
    return conn.parser is not None and conn.parser.unreader.buf.getbuffer().nbytes > 0


def _format_response(reply: Reply, request_id: str) -> bytes:
    head = (
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: {reply.content_type}\r\nContent-Length: {len(reply.body)}\r\nX-Request-ID: {request_id}\r\n\r\n"
    )
    return head.encode("latin-1") + reply.body
