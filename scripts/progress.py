"""How far a suite is, as a plugin of pytest: a line at least every few seconds, whichever test takes long.

It is for `./ship` alone (`-p scripts.progress`), and takes the place of pytest's dots. With pytest-xdist it speaks in
the process that hands out the tests, which hears from all that run them.
"""

import threading
import time
from collections.abc import Generator, Sequence

import pytest

from scripts.console import duration, say

SECONDS = 4.0
"""Between two lines. What they pass through on their way is slow at times, and five are promised."""


class Progress:
    """Counts the tests that ended, and knows those that run."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun = time.monotonic()
        self._total = 0
        self._ended = 0
        self._running: dict[str, float] = {}
        """When each began."""
        self._over = threading.Event()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Speak every few seconds while the tests run."""
        speaker = threading.Thread(target=self._speak, daemon=True)
        speaker.start()
        try:
            return (yield)
        finally:
            self._over.set()
            speaker.join()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._total = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.pop(nodeid, None)
        self._ended += 1

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Print no dot for a test that passed, and the name of one that failed, at once."""
        if report.failed:
            say(f"  failed: {report.nodeid}")
        if report.passed and report.when == "call":
            return "passed", "", ""
        return None

    def line(self) -> str:
        """Return how many tests ended of how many, after how long, and which runs for the longest."""
        words = f"  {self._ended} of {self._total} tests after {duration(time.monotonic() - self._begun)}"
        running = sorted(self._running.copy().items(), key=lambda one: one[1])
        if not running:
            return words
        name, since = running[0]
        return f"{words}; {name} for {duration(time.monotonic() - since)}"

    def _speak(self) -> None:
        while not self._over.wait(self._seconds):
            say(self.line())


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the other processes only run tests
        config.pluginmanager.register(Progress(SECONDS))
