"""The flag that the service is about to stop, seen by every worker."""

from __future__ import annotations

import mmap


class Drain:
    """One byte of memory, shared with the processes forked later."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def start(self) -> None:
        """Report not ready from now on, so that load balancers send no more; requests are still answered."""
        self._memory[0] = 1

    @property
    def started(self) -> bool:
        """Whether the service is draining."""
        return self._memory[0] == 1
