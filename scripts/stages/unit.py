"""`./ship unit`: the unit tests, without network and Docker."""

from collections.abc import Sequence

from scripts.suite import run_selected, run_suite

FOLDER = "tests/unit"


def unit() -> str:
    """Run the unit tests and return how many passed."""
    return str(run_suite(FOLDER))


def unit_of(arguments: Sequence[str]) -> int:
    """Run pytest with `arguments` on this terminal, of the unit tests where they name no other; return its status."""
    return run_selected(FOLDER, arguments)
