"""The log: JSON lines on standard output, whole lines in each write, so that those of several workers never mix."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

LEVELS = ("debug", "info", "warning", "error")
_STDOUT = 1
_LONGEST_PATH = 200
_BATCH_SECONDS = 0.05
_MOST_LINES = 10_000  # a longer backlog is written by the request itself, which slows down the clients

_encoder = msgspec.json.Encoder()


class Request(msgspec.Struct, frozen=True):
    """The line of one request; `duration_ms` is the time from the request's head to the finished response."""

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
    """The line of a start."""

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
    """Write one line; a log that cannot be written is no reason to fail."""
    with suppress(OSError):
        os.write(_STDOUT, _encoder.encode(line) + b"\n")


class RequestLog:
    """Writes a line for each request at `level` or above.

    A worker writes them in batches, because each write wakes the reader of the log, which costs more than the
    response. Only a worker that is killed loses its last batch.
    """

    def __init__(self, level: str) -> None:
        self._lowest = LEVELS.index(level)
        self._lines: deque[Request] = deque()
        self._pending = threading.Event()
        self._writing = threading.Lock()
        self._batching = False

    def __call__(
        self, request_id: str, method: str, path: str, status: int, nanoseconds: int, rows: int, size: int
    ) -> None:
        """Log an answered request."""
        rank = 1 if status < 400 else 2 if status < 500 else 3
        if rank < self._lowest:
            return
        duration = round(nanoseconds / 1e6, 3)
        now = datetime.now(UTC)
        self._lines.append(
            Request(now, LEVELS[rank], request_id, method, path[:_LONGEST_PATH], status, duration, rows, size)
        )
        if not self._batching or len(self._lines) > _MOST_LINES:
            self.flush()
        elif not self._pending.is_set():
            self._pending.set()

    def start_batching(self) -> None:
        """Write lines in batches from now on, in this process."""
        self._batching = True
        threading.Thread(target=self._write_batches, name="log", daemon=True).start()

    def flush(self) -> None:
        """Write all pending lines, in pieces that a pipe does not mix with those of other processes."""
        with self._writing, suppress(OSError):
            content = _encoder.encode_lines([self._lines.popleft() for _ in range(len(self._lines))])
            begin = 0
            while begin < len(content):
                end = content.rfind(b"\n", begin, begin + select.PIPE_BUF) + 1 or len(content)
                os.write(_STDOUT, content[begin:end])
                begin = end

    def _write_batches(self) -> None:
        while self._pending.wait():
            time.sleep(_BATCH_SECONDS)
            self._pending.clear()
            self.flush()


class LogHandler(logging.Handler):
    """Writes what libraries log as lines of the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its exception's traceback."""
        try:
            exception = "".join(traceback.format_exception(*record.exc_info)) if record.exc_info else ""
            time = datetime.fromtimestamp(record.created, UTC)
            write(Event(time, record.levelname.lower(), record.getMessage(), record.name, exception))
        except Exception:  # noqa: BLE001 - how logging treats a record that cannot be formatted
            self.handleError(record)


def configure(level: str) -> None:
    """Send everything that is logged in this process, and Python's warnings, through LogHandler."""
    logging.basicConfig(level=level.upper(), handlers=[LogHandler()], force=True)
    logging.captureWarnings(capture=True)
