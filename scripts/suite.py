"""Running a folder of tests with pytest, and reading what it counted."""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts import BUILD, ROOT
from scripts.artifacts import Counts
from scripts.errors import Failure
from scripts.process import foreground, run

# How pytest-xdist shares the tests out: module by module in the order in which they are collected, or one by one.
BY_MODULE = ("--dist=loadscope", "--no-loadscope-reorder")
ANY = ("--dist=worksteal",)


def run_suite(folder: str, env: Mapping[str, str] | None = None, *, by_module: bool = False) -> Counts:
    """Run the tests in `folder`, or in one file, write `build/NAME.xml` (JUnit), and return how many passed.

    The tests run side by side, a process for each processor. With `by_module`, those of one module run in one process,
    so that what they share is made once.

    Raises Failure when a test failed, and when none ran.
    """
    report = BUILD / f"{Path(folder).stem}.xml"
    report.unlink(missing_ok=True)
    try:
        # What the stages say that a test runs is no result of the workflow that runs the tests.
        quiet = {**(env or {}), "GITHUB_STEP_SUMMARY": None, "GITHUB_OUTPUT": None}
        side_by_side = ("--numprocesses=auto", *(BY_MODULE if by_module else ANY), "-p", "scripts.progress")
        run(sys.executable, "-m", "pytest", "--quiet", *side_by_side, folder, f"--junitxml={report}", env=quiet)
    except Failure as failed:
        stage = Path(folder).relative_to("tests").parts[0]
        raise Failure(f"{_counts(report)}, pytest says above which", f"./ship {stage}") from failed
    return _counts(report)


def run_selected(folder: str, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run pytest with `arguments` on this terminal, in `folder` where they name no path, and return its exit status.

    Nothing is written down: what was selected says nothing of the rest. Raises Failure for a path that does not exist.
    """
    for argument in arguments:
        path = argument.partition("::")[0]
        if path.startswith("tests/") and not (ROOT / path).exists():
            raise Failure(f"there is no {path}", "name a path from the top of this repository, such as tests/unit/app")
    return foreground(sys.executable, "-m", "pytest", "-o", f"testpaths={folder}", *arguments, env=env, cwd=ROOT)


def _counts(report: Path) -> Counts:
    try:
        suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - our own pytest's
    except (OSError, ET.ParseError):  # pytest was ended before it wrote one
        suite = None
    if suite is None:
        return Counts()
    number = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"]
    return Counts(number["tests"] - failed - number["skipped"], failed, number["skipped"])
