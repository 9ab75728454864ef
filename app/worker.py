"""The worker process: gunicorn's threads, without handing over what can be answered at once."""

from __future__ import annotations

import fcntl
import re
import socket
import termios
from concurrent.futures import Future
from typing import TYPE_CHECKING

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from gunicorn.workers.gthread import TConn

_PEEKED_BYTES = 8192
_NOTHING = bytes(4)
# A body's length; empty where it is chunked, or where the length is nothing that could have arrived.
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding):[ \t]*(\d{1,9}(?=[ \t]*\r\n))?", re.IGNORECASE)


class PromptWorker(ThreadWorker):  # type: ignore[misc]
    """Answers a small POST that has arrived whole where it was noticed, and gives a thread to everything else.

    A thread costs more than a prediction: queues, locks, and a wait for the interpreter's. What is answered without
    one can keep nobody waiting: it needs nothing more from its client, and its answer fits into the socket.
    """

    def enqueue_req(self, conn: TConn) -> None:
        """Answer on a connection that can be read."""
        if not is_prompt(conn.sock):
            super().enqueue_req(conn)
            return
        conn.data_ready = True
        answered: Future[object] = Future()
        answered.set_result(self.handle(conn))
        self.finish_request(conn, answered)


def is_prompt(connection: socket.socket) -> bool:
    """Whether a whole small POST waits in a socket whose client has taken in everything sent to it so far.

    The request is left where it is, for gunicorn to parse as ever.
    """
    try:
        data = connection.recv(_PEEKED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        if not data.startswith(b"POST ") or fcntl.ioctl(connection, termios.TIOCOUTQ, _NOTHING) != _NOTHING:
            return False
    except OSError:
        return False
    end = data.find(b"\r\n\r\n")
    lengths = _BODY.findall(data, 0, end + 2)
    return end > 0 and b"" not in lengths and len(data) >= end + 4 + sum(map(int, lengths))
