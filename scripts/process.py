"""Runs other programs, with an argument list and never through a shell."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from scripts import ROOT
from scripts.console import say
from scripts.errors import Failure

# The folder with the programs of this project's Python packages.
TOOLS = Path(sys.executable).parent
# Variables to add to the environment of a program; None removes one.
Environment: TypeAlias = Mapping[str, str | None]


@dataclass(frozen=True)
class Limit:
    """How long a program may take to get an answer over a network, and from whom."""

    seconds: float
    peer: str


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    returncode: int
    stdout: bytes
    """Its output, byte for byte, for hashing and parsing."""
    stderr: str
    """Its messages for people."""

    @property
    def text(self) -> str:
        """Its output as text: stripped, and with U+FFFD for invalid UTF-8."""
        return self.stdout.decode(errors="replace").strip()

    @property
    def words(self) -> str:
        """The end of its messages, which says why it failed."""
        message = self.stderr.strip() or self.text or f"exit status {self.returncode}"
        return " | ".join(message.splitlines()[-3:])


def run(
    *command: str, env: Environment | None = None, cwd: Path = ROOT, remedy: str = "", limit: Limit | None = None
) -> None:
    """Run `command` and show its output as progress. Raises Failure when it fails."""
    say(f"  $ {' '.join(command)}")
    code = _start(command, env, cwd, limit, None, capture=False).returncode
    if code:
        raise Failure(f"{command[0]} exited with {code}", remedy)


def attempt(
    *command: str,
    env: Environment | None = None,
    cwd: Path = ROOT,
    limit: Limit | None = None,
    stdin: bytes | None = None,
) -> Ended:
    """Run `command` silently, with `stdin` as its input, and return how it ended, whatever its exit status.

    Raises Failure when it is not installed, and when `limit` has passed.
    """
    return _start(command, env, cwd, limit, stdin, capture=True)


def data(
    *command: str, env: Environment | None = None, cwd: Path = ROOT, remedy: str = "", limit: Limit | None = None
) -> bytes:
    """Run `command` silently and return its output. Raises Failure, with its last message, when it fails."""
    done = attempt(*command, env=env, cwd=cwd, limit=limit)
    if done.returncode:
        raise Failure(f"{' '.join(command[:3])}: {done.words}", remedy)
    return done.stdout


def output(
    *command: str, env: Environment | None = None, cwd: Path = ROOT, remedy: str = "", limit: Limit | None = None
) -> str:
    """Run `command` silently and return its output as text. Raises Failure, with its last message, when it fails."""
    return data(*command, env=env, cwd=cwd, remedy=remedy, limit=limit).decode(errors="replace").strip()


def succeeds(*command: str) -> bool:
    """Return whether `command` exists and exits with 0."""
    try:
        return attempt(*command).returncode == 0
    except Failure:
        return False


@contextmanager
def running(*command: str, env: Environment | None = None, cwd: Path = ROOT) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `command` in the open for as long as the body takes; then stop it, and all that it started."""
    child = _open(command, env, cwd, own_session=True)
    try:
        yield child
    finally:
        stop(child)


def foreground(*command: str, env: Environment | None = None, cwd: Path = ROOT) -> int:
    """Run `command` as if it had been typed on this terminal: it can ask, and Ctrl-C is its own to handle.

    Returns its exit status, as a shell has it: 128 + N where signal N ended it. A request to end this program is passed
    on as Ctrl-C, so that `command` cleans up.
    """

    def left_to_it(_signal: int, _frame: FrameType | None) -> None:
        """Do nothing: the terminal sends Ctrl-C to both."""

    def pass_on(_signal: int, _frame: FrameType | None) -> None:
        child.send_signal(signal.SIGINT)

    before = {signal.SIGINT: signal.signal(signal.SIGINT, left_to_it)}
    try:
        child = _open(command, env, cwd, own_session=False)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(ending) is not signal.SIG_IGN:  # as under nohup
                before[ending] = signal.signal(ending, pass_on)
        status = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _start(
    command: tuple[str, ...],
    env: Environment | None,
    cwd: Path,
    limit: Limit | None,
    stdin: bytes | None,
    *,
    capture: bool,
) -> Ended:
    pipe = subprocess.PIPE if capture else None
    read = None if stdin is None else subprocess.PIPE
    with _open(command, env, cwd, read, pipe, own_session=True) as child:  # closes its pipes
        try:
            out, err = child.communicate(stdin, limit.seconds if limit else None)
        except subprocess.TimeoutExpired:
            stop(child, grace=2)
        except BaseException:
            stop(child)
            raise
        else:
            return Ended(child.returncode, out or b"", (err or b"").decode(errors="replace"))
    assert limit  # noqa: S101 - only a limit causes a time-out
    raise Failure(f"{limit.peer} gave no answer within {limit.seconds:g} s", "try again later")


def _open(
    command: tuple[str, ...],
    env: Environment | None,
    cwd: Path,
    stdin: int | None = None,
    output: int | None = None,
    *,
    own_session: bool,
) -> "subprocess.Popen[bytes]":
    """Start `command`. In a session of its own, Ctrl-C reaches it once, from `stop`, and it has time to clean up."""
    environment = {name: value for name, value in {**os.environ, **(env or {})}.items() if value is not None}
    try:
        return subprocess.Popen(
            command, stdin=stdin, stdout=output, stderr=output, cwd=cwd, env=environment, start_new_session=own_session
        )
    except FileNotFoundError as missing:
        raise Failure(f"{command[0]} is not installed", "./ship setup") from missing


def stop(child: subprocess.Popen[bytes] | subprocess.Popen[str], grace: float = 30) -> None:
    """Interrupt `child` and its processes like Ctrl-C, then kill those that are left after `grace` seconds."""
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
