"""The sign that the service is about to stop, seen by every worker."""

from __future__ import annotations

import mmap


class Drain:
    """One byte of memory that is shared with the processes forked later."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def start(self) -> None:
        """Ask load balancers to send no more; what still comes is answered."""
        self._memory[0] = 1

    @property
    def started(self) -> bool:
        """Whether the stop has begun."""
        return self._memory[0] == 1
