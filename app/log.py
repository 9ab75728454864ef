"""The log: JSON lines on standard output, one write each, so that lines of several workers never mix."""

from __future__ import annotations

import logging
import os
import traceback
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

LEVELS = ("debug", "info", "warning", "error")
_STDOUT = 1
_LONGEST_PATH = 200

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, frozen=True):
    """The line of one request; `duration_ms` is from the request's head to the finished answer."""

    time: datetime
    level: str
    id: str
    method: str
    path: str
    status: int
    duration_ms: float
    rows: int
    bytes: int


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """The line of anything else."""

    time: datetime
    level: str
    message: str
    logger: str = ""
    exception: str = ""


class Started(msgspec.Struct, frozen=True):
    """The one line of a start."""

    time: datetime
    level: str
    message: str
    model: str
    model_version: str
    format: str
    sha256: str
    workers: int
    workers_because: str
    threads: int
    address: str
    seconds: float


def write(line: msgspec.Struct) -> None:
    """Write one line; nobody reading the log is no reason to fail."""
    with suppress(OSError):
        os.write(_STDOUT, _encode(line) + b"\n")


class RequestLog:
    """Writes a line for each request at `level` or above."""

    def __init__(self, level: str, *, on: bool = True) -> None:
        self._lowest = LEVELS.index(level)
        self.quiet = not on

    def __call__(
        self, identity: str, method: str, path: str, status: int, nanoseconds: int, rows: int, size: int
    ) -> None:
        """Write the line of a request that has been answered."""
        if status < 400:
            level, rank = "info", 1
        elif status < 500:
            level, rank = "warning", 2
        else:
            level, rank = "error", 3
        if rank >= self._lowest:
            duration = round(nanoseconds / 1e6, 3)
            write(
                Request(datetime.now(UTC), level, identity, method, path[:_LONGEST_PATH], status, duration, rows, size)
            )


class LogHandler(logging.Handler):
    """Gives what libraries log the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its exception's traceback."""
        try:
            exception = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
            time = datetime.fromtimestamp(record.created, UTC)
            write(Event(time, record.levelname.lower(), record.getMessage(), record.name, exception))
        except Exception:  # noqa: BLE001 - logging's own way with a record that cannot be formatted
            self.handleError(record)


def configure(level: str) -> None:
    """Send all that is logged in this process, warnings as well, through LogHandler."""
    logging.basicConfig(level=level.upper(), handlers=[LogHandler()], force=True)
    logging.captureWarnings(capture=True)
