"""How the service scales with rows, connections and workers, how fast it starts, and the parts of one request."""

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from scripts import ROOT
from scripts.bench.contenders import OURS, Contender
from scripts.bench.load import Load, run_load
from scripts.bench.server import Golden, Server, launch, started
from scripts.console import say
from scripts.errors import Failure
from scripts.process import attempt, output

PROFILE = ROOT / "scripts" / "bench" / "programs" / "profile.py"
MOST_ROWS = 100_000
# The limits of the service, raised for the largest request here.
UNLIMITED = {"MAX_ROWS": str(MOST_ROWS), "MAX_BODY_BYTES": str(1 << 26)}


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int
    seconds: int
    repeats: int
    rows: tuple[int, ...]
    connections: tuple[int, ...]


FULL = Effort(5, 5, 7, (1, 10, 100, 1_000, 10_000, MOST_ROWS), (1, 4, 16, 64, 256))
QUICK = Effort(1, 2, 2, (1, 1_000, MOST_ROWS), (1, 16))


@dataclass(frozen=True)
class Start:
    """Seconds to the first right answer."""

    command: float
    """From the call of `docker run`."""
    process: float
    """From the start of the process by the engine."""


@dataclass(frozen=True)
class Batch:
    """Requests with many rows, one after another on one worker."""

    rows: int
    pace: float
    """Rows per second, from the first byte sent to the last byte of the answer."""
    milliseconds: float
    memory: float
    """MB afterwards, PSS."""


def starts(contenders: list[Contender], golden: list[Golden], effort: Effort) -> dict[str, Start]:
    """Start each contender in turn, repeatedly; return medians by key."""
    say("  start to first right answer")
    found: dict[str, list[Start]] = {one.key: [] for one in contenders}
    for _ in range(effort.repeats):
        for one in contenders:
            found[one.key].append(_start(one, golden[0]))
    return {
        key: Start(median(one.command for one in all_), median(one.process for one in all_))
        for key, all_ in found.items()
    }


def _start(contender: Contender, golden: Golden) -> Start:
    typed = time.monotonic()
    server = launch(contender, workers=2)
    try:
        while not server.answers(golden):
            if time.monotonic() > typed + 60:
                raise Failure(f"{contender.name} does not answer", f"docker logs {server.container}")
            time.sleep(0.002)
        answered, now = time.monotonic(), time.time()
        began = output("docker", "container", "inspect", "--format", "{{.State.StartedAt}}", server.container)
    finally:
        attempt("docker", "rm", "--force", "--volumes", server.container)
    # The engine writes nanoseconds, which datetime cannot hold.
    return Start(answered - typed, now - datetime.fromisoformat(f"{began[:26].rstrip('Z')}+00:00").timestamp())


def rows(ours: Contender, golden: list[Golden], effort: Effort) -> list[Batch]:
    """Send more and more rows in one request to one worker."""
    say("  rows a request")
    with started(ours, 1, UNLIMITED) as server:
        return [_batch(server, golden, count, effort.repeats) for count in effort.rows]


def _batch(server: Server, golden: list[Golden], count: int, repeats: int) -> Batch:
    asked = [golden[number % len(golden)] for number in range(count)]
    body = json.dumps({"features": [[*one.row.values()] for one in asked]}).encode()
    found = json.loads(server.post(body))["prediction"]
    if len(found) != count or not all(map(Golden.fits, asked, found)):
        raise Failure(f"the answer to {count} rows in one request is wrong")
    seconds = []
    for _ in range(max(repeats, min(200, 1_000 // count))):
        began = time.perf_counter()
        server.post(body)
        seconds.append(time.perf_counter() - began)
    return Batch(count, count / median(seconds), median(seconds) * 1000, server.memory())


def connections(ours: Contender, golden: list[Golden], effort: Effort) -> dict[int, Load]:
    """Load two workers over more and more connections."""
    say("  connections")
    with started(ours, 2) as server:
        return {count: run_load(server, golden[0], count, effort.seconds) for count in effort.connections}


def workers(ours: Contender, golden: list[Golden], effort: Effort, through: int) -> dict[int, Load]:
    """Load one worker, two, and so on up to one for each processor, over `through` connections."""
    say("  workers")
    found = {}
    for count in range(1, len(os.sched_getaffinity(0)) + 1):
        with started(ours, count) as server:
            found[count] = run_load(server, golden[0], through, effort.seconds)
    return found


def profile() -> dict[str, float]:
    """Return the microseconds of each part of one request, measured inside the image in one process."""
    say("  one request by part")
    mounted = ("--volume", f"{PROFILE}:/profile.py:ro", "--entrypoint", "python3")
    return dict(json.loads(output("docker", "run", "--rm", *mounted, OURS, "/profile.py").splitlines()[-1]))
