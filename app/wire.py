"""A connection on which an answer can be sent without waiting for the client."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from typing import Any


class Wire(socket.socket):
    """A socket that holds what is written to it, while it is told to, and then sends it in one piece."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - socket's own signature
        super().__init__(*args, **kwargs)
        self.holding = False
        self._held = b""

    @classmethod
    def of(cls, connection: socket.socket) -> Self:
        """Take over an open socket; the other object is closed by that."""
        family, kind, protocol = connection.family, connection.type, connection.proto
        return cls(family, kind, protocol, connection.detach())

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401 - socket's own signature
        """Send everything, or hold it."""
        if self.holding:
            self._held += data
        else:
            super().sendall(data, flags)

    def release(self) -> bool:
        """Send what is held as far as the client has room for it; whether nothing is left."""
        self.holding = False
        try:
            self._held = self._held[self.send(self._held, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            return False
        except OSError:  # nobody is there to take it
            self._held = b""
        return not self._held

    def send_rest(self) -> None:
        """Send what is left after `release`, waiting for the client to take it."""
        self.sendall(self._held)
        self._held = b""
