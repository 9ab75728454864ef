"""Which requests can be answered where they are noticed, without a thread of their own."""

from __future__ import annotations

import fcntl
import re
import socket
import termios

_PEEKED_BYTES = 8192
_NOTHING = bytes(4)
# A body's length; empty where it is chunked, or where the length is nothing that could have arrived.
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding):[ \t]*(\d{1,9}(?=[ \t]*\r\n))?", re.IGNORECASE)


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
