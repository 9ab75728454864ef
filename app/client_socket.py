"""A client's connection: it can send a response without waiting for the client, and knows whether it was cut off."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from typing import Any


class ClientSocket(socket.socket):
    """A socket that buffers what is written to it while `buffering` is set, and then sends it in one piece."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - socket's own signature
        super().__init__(*args, **kwargs)
        self.buffering = False
        self.timed_out = False
        """Whether `cut_off` ended the connection before the client was done."""
        self._buffer = b""

    @classmethod
    def take_over(cls, connection: socket.socket) -> Self:
        """Take over an open socket; the other object is closed by that."""
        family, kind, protocol = connection.family, connection.type, connection.proto
        return cls(family, kind, protocol, connection.detach())

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401 - socket's own signature
        """Send everything, or buffer it."""
        if self.buffering:
            self._buffer += data
        else:
            super().sendall(data, flags)

    def flush(self) -> bool:
        """Stop buffering, and send as much as the client has room for; whether nothing is left."""
        self.buffering = False
        try:
            self._buffer = self._buffer[self.send(self._buffer, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return False
        except OSError:  # the client is gone
            self._buffer = b""
        return not self._buffer

    def send_rest(self) -> None:
        """Send what `flush` left over, waiting for the client to receive it."""
        self.sendall(self._buffer)
        self._buffer = b""

    def cut_off(self, how: int) -> None:
        """End reading (SHUT_RD) or reading and writing (SHUT_RDWR), because the client took too long."""
        self.timed_out = True
        with suppress(OSError):  # it may have ended meanwhile
            self.shutdown(how)
