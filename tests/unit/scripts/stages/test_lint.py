"""The linters: where one comes from, and which files are for it."""

from pathlib import Path

import pytest

from scripts import ROOT
from scripts.errors import Failure
from scripts.requirements import LOCKS
from scripts.stages import lint
from scripts.stages.lint import LINTERS


@pytest.fixture(autouse=True)
def without_its_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One linter, whose package has no wheel for this machine."""
    monkeypatch.setattr(lint, "LINTERS", {"shellcheck": lint.Linter(("shellcheck",), ("ship", "image/*.sh"))})
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


def test_each_line_of_a_finding_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(tmp_path, "echo one; echo two; exit 1")

    with pytest.raises(Failure):
        lint.lint()
    assert "one\ntwo\n" in capsys.readouterr().out


def test_a_linter_of_the_lock_comes_first(tmp_path: Path) -> None:
    install(tmp_path, "exit 1")
    (tmp_path / "wheels").mkdir()
    install(tmp_path / "wheels", "exit 0")

    assert lint.lint() == "2 checks clean"


def test_a_linter_that_is_missing_is_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure, match="findings in shellcheck"):
        lint.lint()
    assert "is not installed: apt-get install shellcheck" in capsys.readouterr().out


def test_only_the_files_that_are_named_are_read(tmp_path: Path) -> None:
    install(tmp_path, f'echo "$@" >>{tmp_path}/read')

    assert lint.lint(["README.md", "image/base.sh"]) == "1 checks clean"

    assert (tmp_path / "read").read_text() == "image/base.sh\n"


def test_a_file_that_no_linter_is_for_is_passed_over(tmp_path: Path) -> None:
    install(tmp_path, "exit 1")

    assert lint.lint(["README.md", "LICENSE"]) == "no linter is for these files"


def test_an_absolute_path_is_the_same_file(tmp_path: Path) -> None:
    install(tmp_path, f'echo "$@" >>{tmp_path}/read')
    lint.lint([str(ROOT / "ship")])

    assert (tmp_path / "read").read_text() == "ship\n"


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    """Otherwise mypy takes it for two modules of one name."""
    install(tmp_path, f'echo "$@" >>{tmp_path}/read')
    lint.lint(["ship", "image/../ship"])

    assert (tmp_path / "read").read_text() == "ship\n"


@pytest.mark.parametrize("name", ["nope.py", "app", "/etc/hostname", "../other/file.py"])
def test_what_is_no_file_of_this_repository_is_refused(name: str) -> None:
    with pytest.raises(Failure, match=f"there is no file {name} in "):
        lint.lint([name])


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("app/predict.py", {"ruff check", "ruff format", "mypy"}),
        ("Dockerfile", {"hadolint", "pins"}),
        ("ship", {"shellcheck"}),
        ("image/base.sh", {"shellcheck"}),
        ("compose.yaml", {"yamllint", "compose"}),
        (".github/workflows/main.yml", {"yamllint", "workflows", "workflow rules", "zizmor"}),
        ("scripts/bench/peers/Dockerfile", set()),
        ("requirements.txt", {"lock requirements.txt"}),
        ("pyproject.toml", {f"lock {name}" for name in LOCKS}),
    ],
)
def test_a_file_is_read_by_the_linters_for_its_kind(
    file: str, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lint, "LINTERS", LINTERS)
    monkeypatch.setattr(lint, "LOCKS", LOCKS)

    assert (ROOT / file).is_file()
    assert lint._checks([file]).keys() == names
