"""GET /metrics: Prometheus metrics, summed over all workers, including those that died."""

from __future__ import annotations

import mmap
import threading
from bisect import bisect_left
from http import HTTPStatus
from typing import TYPE_CHECKING

import numpy as np

from app import problem
from app.route import Reply, Route

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from app.model import Card
    from app.route import Environ
    from app.settings import Settings

PATH = "/metrics"
# https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Upper bounds in seconds: one row takes tens of microseconds, 10,000 rows take tens of milliseconds.
BUCKETS = (
    *(0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5),
    *(0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
_BOUNDS = tuple(round(bound * 1e9) for bound in BUCKETS)
_STATUSES = tuple(status.value for status in HTTPStatus)
_COLUMNS = {status: column for column, status in enumerate(_STATUSES)}
_BUCKET = len(_STATUSES)
_SECONDS = _BUCKET + len(BUCKETS) + 1
_WIDTH = _SECONDS + 1

# A slot begins with two cells of its own, before those of the routes; the memory begins with two of the arbiter.
_IN_FLIGHT, _ROWS, _OWN = 0, 1, 2
_STARTS, _LIVE, _HEAD = 0, 1, 2
_CELL = 8


class Meter:
    """Counters in memory that is shared with the workers forked later.

    Each worker writes to its own slot, so that no process waits for another; the threads of a worker share a lock.
    The metrics are the sum over all slots. A slot outlives its worker, and the next worker goes on counting in it.
    prometheus_client's multiprocess mode does the same with files: 6 to 10 microseconds a request, where this takes 1.
    """

    def __init__(self, routes: Sequence[tuple[str, str]], workers: int) -> None:
        """Make room for `routes`, (method, path) each, and twice the workers: a reload starts the new ones first."""
        self._routes = [*routes, ("", "unmatched")]
        self._size = _OWN + len(self._routes) * _WIDTH
        self._slots = 2 * workers + 1
        self._memory = mmap.mmap(-1, (_HEAD + self._slots * self._size) * _CELL)
        self._cells = memoryview(self._memory).cast("q")
        self._free = [*range(self._slots - 1, 0, -1)]
        self._lock = threading.Lock()
        self.use(0)

    def find_series(self, method: str, path: str) -> int:
        """Return the number of a route for `leave`; all unknown routes share one."""
        route = (method, path)
        return _OWN + _WIDTH * (self._routes.index(route) if route in self._routes else len(self._routes) - 1)

    def claim(self) -> int:
        """Claim a slot for a worker that is about to be forked; if all are taken, the arbiter's own, which is idle."""
        self._cells[_STARTS] += 1
        self._cells[_LIVE] += 1
        return self._free.pop() if self._free else 0

    def release(self, slot: int) -> None:
        """Release the slot of a dead worker: its counts stay, but its unfinished requests are no longer in flight."""
        self._cells[_LIVE] -= 1
        self._cells[_HEAD + slot * self._size + _IN_FLIGHT] = 0
        if slot:
            self._free.append(slot)

    def use(self, slot: int) -> None:
        """Count in `slot` from now on, in this process."""
        self._base = _HEAD + slot * self._size

    def enter(self) -> None:
        """Count a request that has arrived."""
        with self._lock:
            self._cells[self._base] += 1

    def leave(self, series: int, status: int, nanoseconds: int, rows: int) -> None:
        """Count an answered request: its route, status, duration in nanoseconds, and predicted rows."""
        cells, base = self._cells, self._base
        route = base + series
        bucket = route + _BUCKET + bisect_left(_BOUNDS, nanoseconds)
        with self._lock:
            cells[base] -= 1
            cells[route + _COLUMNS[status]] += 1
            cells[bucket] += 1
            cells[route + _SECONDS] += nanoseconds
            if rows:
                cells[base + _ROWS] += rows

    def expose(self) -> Iterator[str]:
        """Yield the lines of the counters, only for routes and statuses that occurred."""
        cells = np.frombuffer(self._memory, dtype=np.int64)
        total = cells[_HEAD:].reshape(self._slots, self._size).sum(axis=0)
        routes = total[_OWN:].reshape(-1, _WIDTH)
        used = [
            (_format_labels(method=method, route=path), row)
            for (method, path), row in zip(self._routes, routes, strict=True)
            if row.any()
        ]

        yield from _describe_metric("http_requests", "counter", "Requests answered, by route and status.", "_total")
        for labels, row in used:
            for column in row[:_BUCKET].nonzero()[0]:
                yield f'http_requests_total{{{labels},status="{_STATUSES[column]}"}} {row[column]}'

        name = "http_request_duration_seconds"
        yield from _describe_metric(name, "histogram", "Time from a request's head to the finished response.")
        for labels, row in used:
            counts = row[_BUCKET:_SECONDS].cumsum()
            for bound, count in zip((*BUCKETS, "+Inf"), counts, strict=True):
                yield f'{name}_bucket{{{labels},le="{bound}"}} {count}'
            yield f"{name}_sum{{{labels}}} {row[_SECONDS] / 1e9:.9f}"
            yield f"{name}_count{{{labels}}} {counts[-1]}"

        yield from _describe_metric("http_requests_in_flight", "gauge", "Requests being answered, this one included.")
        yield f"http_requests_in_flight {total[_IN_FLIGHT]}"
        yield from _describe_metric("shipshape_predicted_rows", "counter", "Rows predicted.", "_total")
        yield f"shipshape_predicted_rows_total {total[_ROWS]}"
        yield from _describe_metric("shipshape_workers", "gauge", "Worker processes alive.")
        yield f"shipshape_workers {cells[_LIVE]}"
        yield from _describe_metric("shipshape_worker_starts", "counter", "Worker processes started.", "_total")
        yield f"shipshape_worker_starts_total {cells[_STARTS]}"


def make_routes(settings: Settings, card: Card, meter: Meter) -> list[Route]:
    """Make the route /metrics."""
    model = _format_labels(name=card.name, version=card.version, format=card.format, sha256=card.sha256)
    build = _format_labels(version=settings.image_version, revision=settings.image_revision)
    constant = (
        *_describe_metric("shipshape_model_info", "gauge", "The model that answers."),
        f"shipshape_model_info{{{model}}} 1",
        *_describe_metric("shipshape_build_info", "gauge", "The image that runs."),
        f"shipshape_build_info{{{build}}} 1",
        "",
    )

    def answer(_environ: Environ) -> Reply:
        return Reply("\n".join((*meter.expose(), *constant)).encode(), CONTENT_TYPE)

    return [Route("GET", PATH, answer, problem.handle_error, probe=True)]


def _describe_metric(name: str, kind: str, text: str, suffix: str = "") -> tuple[str, str]:
    return f"# HELP {name}{suffix} {text}", f"# TYPE {name}{suffix} {kind}"


def _format_labels(**labels: str) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels.items())
