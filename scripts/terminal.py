"""What a person sees: one line when work starts, its progress, one line when it ends."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from scripts.failure import Failure

# Colours only on a terminal: rich looks at the stream, NO_COLOR and TERM. In a log, lines are as long as they are.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)


def say(text: str) -> None:
    """Print one line of progress, as it is: markup in it means nothing."""
    console.print(Text(text))
    sys.stdout.flush()


def duration(seconds: float) -> str:
    """Return `seconds` as a person reads it: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def size(count: int) -> str:
    """Return a number of bytes in megabytes (10^6), as registries show it."""
    return f"{count / 1e6:.1f} MB"


def report(failure: Failure) -> None:
    """Print why a stage failed and what to type next."""
    console.print(Text(f"  why: {failure.reason}"))
    if failure.remedy:
        console.print(Text(f"  next: {failure.remedy}"))


@contextmanager
def stage(name: str) -> Iterator[list[str]]:
    """Frame a stage: a line at its start, a line with its time and result at its end.

    The body appends its result, one short phrase, to the list it is given.
    """
    result: list[str] = []
    started = time.monotonic()
    console.print(Text(f"▸ {name}", style="bold cyan"))
    try:
        yield result
    except BaseException:
        console.print(Text(f"✗ {name} failed after {duration(time.monotonic() - started)}", style="bold red"))
        raise
    console.print(Text(f"✓ {name} in {duration(time.monotonic() - started)}: {''.join(result)}", style="green"))
