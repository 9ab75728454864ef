"""What `./ship` says while tests run."""

from __future__ import annotations

import queue

import pytest

from scripts import progress
from scripts.progress import Progress

SLOW, QUICK = "tests/test_a.py::test_slow", "tests/test_a.py::test_quick"


def test_a_line_counts_the_tests_and_names_the_one_that_runs_for_the_longest() -> None:
    told = Progress(60)
    told.pytest_xdist_node_collection_finished([SLOW, QUICK, "tests/test_a.py::test_third"])
    assert told.line().startswith("  0 of 3 tests after 0.0 s")

    for name in (SLOW, QUICK):
        told.pytest_runtest_logstart(name)
    assert f"; {SLOW} for 0.0 s" in told.line()

    told.pytest_runtest_logfinish(SLOW)
    assert told.line().startswith("  1 of 3 tests")
    assert QUICK in told.line()


def test_it_speaks_while_a_test_runs_and_stops_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    said: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(progress, "say", said.put)
    told = Progress(0.001)
    told.pytest_runtest_logstart(SLOW)

    loop = told.pytest_runtestloop()
    next(loop)
    for _ in range(2):
        assert SLOW in said.get(timeout=20)
    with pytest.raises(StopIteration, match="what the loop gave"):
        loop.send("what the loop gave")
    while not said.empty():
        said.get()

    with pytest.raises(queue.Empty):
        said.get(timeout=0.02)


def report(outcome: str, when: str) -> pytest.TestReport:
    return pytest.TestReport(SLOW, ("", 0, ""), {}, outcome, None, when)  # type: ignore[arg-type]


def test_a_failed_test_is_named_at_once_and_a_passed_one_leaves_no_dot(capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress(60)

    assert told.pytest_report_teststatus(report("passed", "call")) == ("passed", "", "")
    assert told.pytest_report_teststatus(report("failed", "call")) is None
    assert told.pytest_report_teststatus(report("skipped", "setup")) is None
    assert capsys.readouterr().out == f"  failed: {SLOW}\n"
