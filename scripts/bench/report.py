"""Writes the tables of docs/benchmarks.md, between two markers; people write the rest of the page."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from scripts import ROOT
from scripts.artifacts import Built
from scripts.bench.contenders import Contender
from scripts.bench.growth import Batch, Start
from scripts.bench.load import Load
from scripts.page import rewrite, table
from scripts.process import output

PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN = "<!-- ./ship bench writes from here -->"


@dataclass(frozen=True)
class Measured:
    """The results of one run, by the keys of the contenders."""

    command: str
    wrk: str
    image: Built
    absent: dict[str, str]
    """Why each missing contender is missing, by name."""
    contenders: list[Contender]
    loads: dict[str, list[Load]]
    """In the order of the rounds, which is the same for all."""
    memory: dict[str, float]
    starts: dict[str, Start]
    rows: list[Batch]
    connections: dict[int, Load]
    workers: dict[int, Load]
    profile: dict[str, float]


@dataclass(frozen=True)
class Target:
    """A figure with a target to reach and one to try for."""

    what: str
    reach: float
    tried: float
    found: float
    unit: str
    less: bool = False
    """Whether less is better."""

    @property
    def reached(self) -> bool:
        """Whether the first target is reached."""
        return self._passes(self.reach)

    def cells(self) -> tuple[str, ...]:
        """Return its row of the table."""
        word = "under " if self.less else ""
        outcome = "missed" if not self.reached else "both reached" if self._passes(self.tried) else "reached"
        figures = (f"{word}{_short(self.reach)}", f"{word}{_short(self.tried)}", _short(self.found))
        return self.what, *(f"{figure} {self.unit}" for figure in figures), outcome

    def _passes(self, bound: float) -> bool:
        return self.found <= bound if self.less else self.found >= bound


def write(measured: Measured) -> str:
    """Rewrite the page between its markers; return how many targets are reached."""
    targets = _targets(measured)
    rewrite(PAGE, BEGIN, _text(measured, targets))
    return f"{sum(target.reached for target in targets)} of {len(targets)} targets reached"


def _targets(measured: Measured) -> list[Target]:
    def ratio(key: str) -> float:
        return median(ours.pace / theirs.pace for ours, theirs in _rounds(measured, key))

    tail = median(ours.p99 / theirs.p99 for ours, theirs in _rounds(measured, "fastapi"))
    start = measured.starts["ours"].command / measured.starts["fastapi"].command
    return [
        Target("requests/s, to FastAPI's", 10, 20, ratio("fastapi"), "x"),
        Target("p99, to FastAPI's", 0.2, 0.2, tail, "x", less=True),
        Target("requests/s, to the tutorial's Flask", 8, 15, ratio("tutorial"), "x"),
        Target("requests/s, to a Flask route that returns a constant", 0.85, 1, ratio("flask"), "x"),
        Target("requests/s, to a bare WSGI callable that returns a constant", 0.6, 0.8, ratio("bare"), "x"),
        Target("memory, PSS, 2 workers, after load", 130, 80, measured.memory["ours"], "MB", less=True),
        Target("container start to first right answer, to FastAPI's", 1 / 3, 1 / 5, start, "x", less=True),
        Target("image, compressed, all layers", 95, 75, measured.image.size / 1e6, "MB", less=True),
        Target(
            f"one request of {measured.rows[-1].rows:,} rows, one worker", 200_000, 500_000, measured.rows[-1].pace,
            "rows/s",
        ),
    ]  # fmt: skip


def _rounds(measured: Measured, key: str) -> Iterable[tuple[Load, Load]]:
    return zip(measured.loads["ours"], measured.loads[key], strict=True)


def _text(measured: Measured, targets: Sequence[Target]) -> str:
    rounds = len(measured.loads["ours"])
    setting = (
        f"`{measured.command}` on {datetime.now(UTC):%Y-%m-%d}: {_machine()}. Image {measured.image.version}, "
        f"`{measured.image.digest[:19]}…`, load by {measured.wrk}. 2 workers, 16 connections kept alive, the same row "
        f"and table for all, medians of {rounds} interleaved round{'s' * (rounds > 1)}; every answer was right."
    )
    parts = [
        setting,
        table(("target", "to reach", "to try for", "measured", ""), (target.cells() for target in targets)),
        "### Single rows",
        table(
            ("", "requests/s", "lowest to highest", "p50 ms", "p99 ms", "CPU µs a request", "ours is", "PSS MB"),
            (_contender(measured, one) for one in measured.contenders),
        ),
        *(f"Not measured: {name}, {reason}." for name, reason in measured.absent.items()),
        "Versions: " + "; ".join(f"{one.key}: {one.versions}" for one in measured.contenders if one.versions) + ".",
        "### Start to first right answer",
        table(
            ("", "from `docker run`, s", "from the start of the process, s"),
            ((_name(measured, key), f"{s.command:.2f}", f"{s.process:.2f}") for key, s in measured.starts.items()),
        ),
        "### Rows a request, one worker",
        table(
            ("rows", "rows/s", "ms a request", "PSS MB afterwards"),
            ((f"{b.rows:,}", f"{b.pace:,.0f}", f"{b.milliseconds:,.1f}", f"{b.memory:.0f}") for b in measured.rows),
        ),
        "### Connections, two workers",
        _loads("connections", measured.connections),
        "### Workers, 16 connections",
        _loads("workers", measured.workers),
        "### One request by part",
        table(("part", "µs"), ((part, f"{spent:.1f}") for part, spent in measured.profile.items())),
    ]
    return "\n\n".join(parts) + "\n"


def _contender(measured: Measured, one: Contender) -> tuple[str, ...]:
    loads = measured.loads[one.key]
    paces = [load.pace for load in loads]
    times = median(ours.pace / theirs.pace for ours, theirs in _rounds(measured, one.key))
    return (
        one.name,
        f"{median(paces):,.0f}",
        f"{min(paces):,.0f} to {max(paces):,.0f}",
        *(f"{median(figures):.1f}" for figures in ([load.p50 for load in loads], [load.p99 for load in loads])),
        f"{median(load.processor for load in loads):,.0f}",
        f"{_short(times)} x",
        f"{measured.memory[one.key]:.0f}",
    )


def _loads(what: str, loads: dict[int, Load]) -> str:
    return table(
        (what, "requests/s", "p50 ms", "p99 ms", "CPU µs a request"),
        (
            (str(count), f"{load.pace:,.0f}", f"{load.p50:.1f}", f"{load.p99:.1f}", f"{load.processor:,.0f}")
            for count, load in loads.items()
        ),
    )


def _name(measured: Measured, key: str) -> str:
    return next(one.name for one in measured.contenders if one.key == key)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _machine() -> str:
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    engine = output("docker", "version", "--format", "{{.Server.Version}}")
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model[1].strip() if model else platform.machine()}, "
        f"{int(memory[1]) / 1e6 if memory else 0:.0f} GB, Linux {platform.release().split('-')[0]}, Docker {engine}"
    )
