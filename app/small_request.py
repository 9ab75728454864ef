"""Which requests the worker can answer in its main loop, without a thread."""

from __future__ import annotations

import fcntl
import re
import socket
import termios

_PEEKED_BYTES = 8192
_NOTHING = bytes(4)
# The length of a body; empty if the body is chunked, or if its length is nothing that fits into the peeked bytes.
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding):[ \t]*(\d{1,9}(?=[ \t]*\r\n))?", re.IGNORECASE)


def has_small_request(connection: socket.socket) -> bool:
    """Whether a complete small POST waits in a socket whose client has received everything sent to it so far.

    The request stays in the socket, for gunicorn to parse as usual.
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
