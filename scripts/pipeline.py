"""`./ship` and `./ship test`: the stages in order, side by side where that is faster, and a table at the end.

Each stage runs as a process of its own, exactly as if its name had been typed, and its output is kept in
`build/logs/`. On a terminal its last line is shown while it works; elsewhere all of it is passed on.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.live import Live
from rich.text import Text

from scripts import BUILD, ROOT, artifacts, process
from scripts.artifacts import built
from scripts.checkout import fingerprint
from scripts.console import Rows, console, duration, say
from scripts.errors import Failure
from scripts.grammar import document

PASSED = BUILD / "passed.json"
# Commands in waves: those of one run side by side.
TEST: tuple[tuple[str, ...], ...] = (("setup",), ("lint", "unit", "build"), ("integration",))
SHIP = (
    TEST[0],
    ("publish --check",),  # a second now, not a refusal after minutes
    *TEST[1:-1],
    ("scan", "integration --only image"),
    ("publish --commit-only",),
    ("release --unless-taken",),
)
# Stages that say nothing new about the same files, or the same files and image: whether the image matters.
REPEATABLE = {"lint": False, "unit": False, "integration": True}


@dataclass
class Run:
    """One stage on its way."""

    command: str
    """As it is typed after `./ship`."""
    state: str = "waiting"
    result: str = ""
    seconds: float = 0.0
    last_line: str = ""
    started: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return self.command.split()[0]


def run(waves: Sequence[Sequence[str]], *, again: bool) -> None:
    """Run `waves` of stages one after another, the stages of one side by side.

    With `again`, stages that passed for the same files and image run once more. Raises Failure, after the table, when
    one failed.
    """
    artifacts.LOGS.mkdir(parents=True, exist_ok=True)
    runs = [[Run(command) for command in wave] for wave in waves]
    flat = [one for wave in runs for one in wave]
    for wave in runs:
        _run_wave(wave, flat, again=again)
        if any(one.state == "failed" for one in wave):
            break
    console.print(_table(flat))
    failed = [one.name for one in flat if one.state == "failed"]
    if failed:
        raise Failure(f"{' and '.join(failed)} failed: see above, or build/logs/", f"./ship {failed[0]}")


def _run_wave(wave: list[Run], everything: list[Run], *, again: bool) -> None:
    keys = {run.name: key(run.name) for run in wave if run.name in REPEATABLE}
    todo = []
    for run in wave:
        before = _passed().get(run.name, {})
        if not again and run.name in keys and before.get("key") == keys[run.name]:
            run.state, run.result = "unchanged", before["result"]
        else:
            todo.append(run)
    if console.is_terminal:
        with Live(get_renderable=lambda: _table(everything), console=console, refresh_per_second=4, transient=True):
            _run_side_by_side(todo)
    else:
        _run_side_by_side(todo)
    for run in todo:
        if run.state == "passed" and run.name in keys:
            entry = {"key": keys[run.name], "result": run.result}
            PASSED.write_text(json.dumps({**_passed(), run.name: entry}, indent=2))
        elif run.state == "failed" and console.is_terminal:
            for line in (artifacts.LOGS / f"{run.name}.log").read_text(errors="replace").splitlines():
                say(line)


def _run_side_by_side(wave: list[Run]) -> None:
    children: dict[str, subprocess.Popen[str]] = {}
    threads = []
    try:
        for run in wave:
            children[run.name] = child = _start(run)
            thread = threading.Thread(target=_follow, args=(run, child, len(wave) > 1))
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()
    except BaseException:
        for child in children.values():
            process.stop(child)
        for thread in threads:
            thread.join()
        raise


def _start(run: Run) -> "subprocess.Popen[str]":
    run.state, run.started = "running", time.monotonic()
    artifacts.result(run.name).unlink(missing_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "scripts", *run.command.split()],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # as in scripts.process
    )


def _follow(run: Run, child: "subprocess.Popen[str]", beside_others: bool) -> None:  # noqa: FBT001
    """Log what `child` prints, show it, and note how it ended."""
    assert child.stdout is not None  # noqa: S101 - PIPE was asked for
    with (artifacts.LOGS / f"{run.name}.log").open("w") as log:
        for line in child.stdout:
            log.write(line)
            run.last_line = line.strip() or run.last_line
            if not console.is_terminal:
                sys.stdout.write(f"{run.name:<6}│ {line}" if beside_others else line)
                sys.stdout.flush()
    run.state = "failed" if child.wait() else "passed"
    run.seconds = time.monotonic() - run.started
    result = artifacts.result(run.name)
    run.result = result.read_text() if result.exists() else run.last_line


def _table(runs: Sequence[Run]) -> Rows:
    colours = {"failed": "bold red", "passed": "green", "running": "cyan", "unchanged": "dim", "waiting": "dim"}
    table = Rows("stage", "", "time", "result")
    for run in runs:
        running = run.state == "running"
        seconds = time.monotonic() - run.started if running else run.seconds
        words = run.last_line[: max(20, console.width - 40)] if running else run.result
        table.row(run.name, Text(run.state, colours[run.state]), duration(seconds) if seconds else "", words)
    return table


def key(stage: str) -> str:
    """Return what the outcome of a repeatable stage depends on: every file of the project, Python, and the image."""
    files = f"{fingerprint()} {sys.version.split()[0]}"
    return f"{files} {built().digest}" if REPEATABLE[stage] else files


def _passed() -> dict[str, dict[str, str]]:
    """Return what passed before; nothing when that cannot be read, and all of it runs again."""
    try:
        return document(PASSED.read_bytes(), dict[str, dict[str, str]], "build/passed.json")
    except (OSError, Failure):
        return {}
