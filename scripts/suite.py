"""Running a folder of tests with pytest, and reading what it counted."""

import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from scripts.failure import Failure
from scripts.process import run
from scripts.project import BUILD


def run_suite(folder: str, env: Mapping[str, str] | None = None) -> str:
    """Run the tests in `folder`, write `build/NAME.xml` (JUnit), and return how many passed.

    Raises Failure when a test failed, and when none ran.
    """
    report = BUILD / f"{Path(folder).name}.xml"
    report.unlink(missing_ok=True)
    try:
        run(sys.executable, "-m", "pytest", "--quiet", folder, f"--junitxml={report}", env=env)
    except Failure as failed:
        raise Failure(f"{_counts(report)}, pytest says above which", f"./ship {Path(folder).name}") from failed
    return _counts(report)


def _counts(report: Path) -> str:
    if not report.exists():
        return "no test ran"
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 - written by our own pytest a moment ago
    if suite is None:
        return "no test ran"
    number = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed = number["failures"] + number["errors"]
    skipped = f", {number['skipped']} skipped" if number["skipped"] else ""
    return f"{number['tests'] - failed - number['skipped']} passed, {failed} failed{skipped}"
