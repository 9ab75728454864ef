"""Tests that a person selects: pytest itself, on a small folder of them."""

from pathlib import Path

import pytest

from scripts import suite
from scripts.errors import Failure

TESTS = """
def test_right():
    pass

def test_wrong():
    assert False
"""


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two unit tests, one of which fails, and an integration test that would fail."""
    for name in ("unit/test_two.py", "integration/test_two.py"):
        (tmp_path / "tests" / name).parent.mkdir(parents=True)
        (tmp_path / "tests" / name).write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:schemathesis -p no:hypothesispytest -p no:anyio\n")
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(suite, "BUILD", tmp_path / "build")
    return tmp_path


def test_arguments_output_and_exit_status_are_those_of_pytest(
    checkout: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert suite.run_selected("tests/unit", ["-k", "wrong", "-x"]) == 1

    printed = capfd.readouterr().out
    assert "FAILED tests/unit/test_two.py::test_wrong" in printed
    assert "1 failed, 1 deselected" in printed
    assert not (checkout / "build").exists()


def test_a_path_takes_the_place_of_the_folder(capfd: pytest.CaptureFixture[str]) -> None:
    assert suite.run_selected("tests/unit", ["tests/integration/test_two.py::test_right", "-v"]) == 0
    assert "tests/integration/test_two.py::test_right PASSED" in capfd.readouterr().out


@pytest.mark.parametrize("path", ["tests/unit/test_three.py", "tests/nothing::test_right"])
def test_a_path_that_does_not_exist_is_a_sentence(path: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure, match=f"there is no {path.partition('::')[0]}"):
        suite.run_selected("tests/unit", ["-x", path])
    assert capfd.readouterr().out == ""
