"""Finding the linters."""

from pathlib import Path

import pytest

from scripts.errors import Failure
from scripts.stages import lint


@pytest.fixture(autouse=True)
def without_its_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One linter whose package has no wheel for this machine."""
    monkeypatch.setattr(lint, "CHECKS", {"shellcheck": ("shellcheck", "ship")})
    monkeypatch.setattr(lint, "LOCKS", {})
    monkeypatch.setattr(lint, "TOOLS", tmp_path / "wheels")
    monkeypatch.setenv("PATH", str(tmp_path))


def install(folder: Path, script: str) -> None:
    (folder / "shellcheck").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "shellcheck").chmod(0o755)


def test_a_linter_without_a_wheel_is_taken_from_the_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path, 'echo "$1: SC1000"; exit 1')

    with pytest.raises(Failure, match="findings in shellcheck"):
        lint.lint()
    assert "ship: SC1000" in capsys.readouterr().out


def test_a_locked_linter_comes_first(tmp_path: Path) -> None:
    install(tmp_path, "exit 1")
    (tmp_path / "wheels").mkdir()
    install(tmp_path / "wheels", "exit 0")

    assert lint.lint() == "2 checks clean"


def test_a_linter_that_is_missing_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure, match="findings in shellcheck"):
        lint.lint()
    assert "is not installed: apt-get install shellcheck" in capsys.readouterr().out
