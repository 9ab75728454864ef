"""One thing that has to be so before a release can work: how it is, and what makes it right."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """What became of a check, by the mark that it is shown with."""

    RIGHT = "✓"
    MISSING = "✗"
    """It is needed, and not so."""
    OPEN = "–"  # noqa: RUF001 - the dash is meant
    """It could not be looked up, or need not be so."""


@dataclass(frozen=True)
class Check:
    """One line of `./ship doctor`."""

    about: str
    state: State
    found: str
    next: str = ""
    """What to click or to type, if anything."""


def right(about: str, found: str) -> Check:
    """Return that it is as it should be."""
    return Check(about, State.RIGHT, found)


def missing(about: str, found: str, remedy: str) -> Check:
    """Return that something is needed and not so."""
    return Check(about, State.MISSING, found, remedy)


def left_open(about: str, found: str, remedy: str = "") -> Check:
    """Return that something is not known, or is left to its owner."""
    return Check(about, State.OPEN, found, remedy)
