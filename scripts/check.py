"""A check of `./ship doctor`: something a release needs, its state, and a remedy."""

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The outcome of a check, with its mark on the screen."""

    RIGHT = "✓"
    MISSING = "✗"
    """Needed, but missing."""
    OPEN = "–"  # noqa: RUF001 - the dash is meant
    """Unknown, or optional."""


@dataclass(frozen=True)
class Check:
    """One line of `./ship doctor`."""

    about: str
    state: State
    found: str
    next: str = ""
    """What to click or type, if anything."""


def right(about: str, found: str) -> Check:
    """Return a check that passed."""
    return Check(about, State.RIGHT, found)


def missing(about: str, found: str, remedy: str) -> Check:
    """Return a check that failed."""
    return Check(about, State.MISSING, found, remedy)


def left_open(about: str, found: str, remedy: str = "") -> Check:
    """Return a check that is unknown or up to the owner."""
    return Check(about, State.OPEN, found, remedy)
