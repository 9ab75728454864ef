"""GET /metrics: what the service did, for Prometheus, over all workers, those that died included."""

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

# Upper bounds in seconds: an answer for one row takes tens of microseconds, one for 10,000 tens of milliseconds.
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

# Of a slot: before the cells of the routes come two of its own. Before the slots come two of the arbiter's.
_IN_FLIGHT, _ROWS, _OWN = 0, 1, 2
_STARTS, _LIVE, _HEAD = 0, 1, 2
_CELL = 8


class Meter:
    """Counters in memory shared with the workers forked later.

    Each worker writes to a slot of its own, so that no process waits for another; the threads of one share a lock.
    What is asked for is the sum. A slot outlives its worker, and the next worker goes on counting in it.
    prometheus_client's multiprocess mode does the same through files, for 6 to 10 microseconds a request; this takes 1.
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

    def series(self, method: str, path: str) -> int:
        """Give the number by which `leave` knows a route; one for all that is unknown."""
        route = (method, path)
        return _OWN + _WIDTH * (self._routes.index(route) if route in self._routes else len(self._routes) - 1)

    def claim(self) -> int:
        """Give a slot to a worker that is about to be forked. The last resort is the arbiter's own, which is idle."""
        self._cells[_STARTS] += 1
        self._cells[_LIVE] += 1
        return self._free.pop() if self._free else 0

    def release(self, slot: int) -> None:
        """Take back the slot of a worker that is gone: its counts stay, what it left half done is not in flight."""
        self._cells[_LIVE] -= 1
        self._cells[_HEAD + slot * self._size + _IN_FLIGHT] = 0
        if slot:
            self._free.append(slot)

    def use(self, slot: int) -> None:
        """Count in `slot` from now on, in this process."""
        self._base = _HEAD + slot * self._size

    def enter(self) -> None:
        """Count a request in."""
        with self._lock:
            self._cells[self._base] += 1

    def leave(self, series: int, status: int, nanoseconds: int, rows: int) -> None:
        """Count a request out: which route it took, how it ended, after how long, and how many rows were predicted."""
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

    def exposition(self) -> Iterator[str]:
        """Give the lines of the counters; only of routes and statuses that occurred."""
        cells = np.frombuffer(self._memory, dtype=np.int64)
        total = cells[_HEAD:].reshape(self._slots, self._size).sum(axis=0)
        routes = total[_OWN:].reshape(-1, _WIDTH)
        used = [
            (_labels(method=m, route=p), row) for (m, p), row in zip(self._routes, routes, strict=True) if row.any()
        ]

        yield from _head("http_requests", "counter", "Requests answered, by route and status.", "_total")
        for labels, row in used:
            for column in row[:_BUCKET].nonzero()[0]:
                yield f'http_requests_total{{{labels},status="{_STATUSES[column]}"}} {row[column]}'

        name = "http_request_duration_seconds"
        yield from _head(name, "histogram", "From the request's head to the finished answer, without sending it.")
        for labels, row in used:
            counts = row[_BUCKET:_SECONDS].cumsum()
            for bound, count in zip((*BUCKETS, "+Inf"), counts, strict=True):
                yield f'{name}_bucket{{{labels},le="{bound}"}} {count}'
            yield f"{name}_sum{{{labels}}} {row[_SECONDS] / 1e9:.9f}"
            yield f"{name}_count{{{labels}}} {counts[-1]}"

        yield from _head("http_requests_in_flight", "gauge", "Requests being answered, this one included.")
        yield f"http_requests_in_flight {total[_IN_FLIGHT]}"
        yield from _head("shipshape_predicted_rows", "counter", "Rows predicted.", "_total")
        yield f"shipshape_predicted_rows_total {total[_ROWS]}"
        yield from _head("shipshape_workers", "gauge", "Worker processes alive.")
        yield f"shipshape_workers {cells[_LIVE]}"
        yield from _head("shipshape_worker_starts", "counter", "Worker processes started.", "_total")
        yield f"shipshape_worker_starts_total {cells[_STARTS]}"


def routes(settings: Settings, card: Card, meter: Meter) -> list[Route]:
    """Give the route /metrics."""
    model = _labels(name=card.name, version=card.version, format=card.format, sha256=card.sha256)
    build = _labels(version=settings.image_version, revision=settings.image_revision)
    constant = (
        *_head("shipshape_model_info", "gauge", "The model that answers."),
        f"shipshape_model_info{{{model}}} 1",
        *_head("shipshape_build_info", "gauge", "The image that runs."),
        f"shipshape_build_info{{{build}}} 1",
        "",
    )

    def metrics(_environ: Environ) -> Reply:
        return Reply("\n".join((*meter.exposition(), *constant)).encode(), CONTENT_TYPE)

    return [Route("GET", PATH, metrics, problem.refuse, probe=True)]


def _head(name: str, kind: str, text: str, suffix: str = "") -> tuple[str, str]:
    return f"# HELP {name}{suffix} {text}", f"# TYPE {name}{suffix} {kind}"


def _labels(**labels: str) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels.items())
