"""`./ship unit`: the unit tests, without network and Docker."""

from scripts.suite import run_suite


def unit() -> str:
    """Run the unit tests and return how many passed."""
    return str(run_suite("tests/unit"))
