"""Running other programs: always an argument list, never a shell."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from scripts.failure import Failure
from scripts.project import ROOT
from scripts.terminal import say

# Where the programs of this project's own Python packages are.
TOOLS = Path(sys.executable).parent
# Variables to set for a program, beside this one's own; None takes one away.
Environment: TypeAlias = Mapping[str, str | None]


def run(*command: str, env: Environment | None = None, cwd: Path = ROOT, remedy: str = "") -> None:
    """Run `command` in the open: its output is this stage's progress. Raises Failure when it fails."""
    say(f"  $ {' '.join(command)}")
    code = _start(command, env, cwd, capture=False).returncode
    if code:
        raise Failure(f"{command[0]} exited with {code}", remedy)


def attempt(*command: str, env: Environment | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `command` unseen and return how it ended, whatever its exit status."""
    return _start(command, env, cwd, capture=True)


def output(*command: str, env: Environment | None = None, cwd: Path = ROOT, remedy: str = "") -> str:
    """Run `command` unseen and return what it printed. Raises Failure, with its last words, when it fails."""
    done = attempt(*command, env=env, cwd=cwd)
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()
        raise Failure(f"{' '.join(command[:3])}: {' | '.join(words[-3:])}", remedy)
    return done.stdout.strip()


def succeeds(*command: str) -> bool:
    """Return whether `command` exists and exits with 0."""
    try:
        return attempt(*command).returncode == 0
    except Failure:
        return False


def _start(
    command: tuple[str, ...], env: Environment | None, cwd: Path, *, capture: bool
) -> subprocess.CompletedProcess[str]:
    pipe = subprocess.PIPE if capture else None
    try:
        child = subprocess.Popen(
            command,
            stdout=pipe,
            stderr=pipe,
            text=True,
            cwd=cwd,
            env={name: value for name, value in {**os.environ, **(env or {})}.items() if value is not None},
            start_new_session=True,  # so that Ctrl-C reaches it once, from `stop`, and it has the time to clean up
        )
    except FileNotFoundError as missing:
        raise Failure(f"{command[0]} is not installed", "./ship setup") from missing
    try:
        out, err = child.communicate()
    except BaseException:
        stop(child)
        raise
    return subprocess.CompletedProcess(command, child.returncode, out, err)


def stop(child: subprocess.Popen[str], grace: float = 30) -> None:
    """Ask `child` and all it started to clean up and stop (as Ctrl-C does); kill what is left after `grace` seconds."""
    for request, patience in ((signal.SIGINT, grace), (signal.SIGKILL, None)):
        try:
            os.killpg(child.pid, request)
            child.wait(patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        else:
            return
