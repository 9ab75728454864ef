"""Output for people: a line when a stage starts, its progress, and a line when it ends."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from scripts.errors import Failure

# Colours only on a terminal: rich checks the stream, NO_COLOR and TERM. In a log, lines are not wrapped.
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout and sys.stdout.isatty() else 160)


def plain(text: str) -> str:
    r"""Return `text` as one line that cannot control a terminal: `\x1b` and the like are spelled out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class Rows(Table):
    """A table of `plain` texts, which are folded in a narrow terminal, so that no digest is cut."""

    def __init__(self, *titles: str) -> None:
        super().__init__()
        for title in titles:
            self.add_column(Text(plain(title)), overflow="fold")

    def row(self, *cells: str | Text) -> None:
        """Add a row; only a `Text` has a style."""
        texts = [cell if isinstance(cell, Text) else Text(cell) for cell in cells]
        self.add_row(*(Text(plain(text.plain), text.style) for text in texts))


def say(text: str) -> None:
    """Print one line of progress literally: markup and control characters have no effect."""
    console.print(Text(plain(text)))
    if sys.stdout:  # None when it is closed
        sys.stdout.flush()


def duration(seconds: float) -> str:
    """Return `seconds` for people: `0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def size(count: int) -> str:
    """Return a number of bytes in megabytes (10^6), like registries."""
    return f"{count / 1e6:.1f} MB"


def report(failure: Failure) -> None:
    """Print why a stage failed and what to type next."""
    say(f"  why: {failure.reason}")
    if failure.remedy:
        say(f"  next: {failure.remedy}")


@contextmanager
def stage(name: str) -> Iterator[list[str]]:
    """Frame a stage: a line at its start, a line with its time and result at its end.

    The body appends its result, one short phrase, to the list that it gets.
    """
    result: list[str] = []
    started = time.monotonic()
    console.print(Text(f"▸ {name}", style="bold cyan"))
    try:
        yield result
    except BaseException:
        console.print(Text(f"✗ {name} failed after {duration(time.monotonic() - started)}", style="bold red"))
        raise
    console.print(Text(plain(f"✓ {name} in {duration(time.monotonic() - started)}: {''.join(result)}"), style="green"))
