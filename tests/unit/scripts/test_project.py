"""What is known of the checkout."""

import subprocess
from pathlib import Path

import pytest

from scripts import project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file in one commit, of a known time."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
    (tmp_path / "file").write_text("one")
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=test", "-c", "user.email=test@example.org", "commit", "--quiet", "--message", "first"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.usefixtures("root")
def test_a_clean_commit_has_its_revision_and_its_time() -> None:
    commit = project.commit()

    assert len(commit.revision) == 40
    assert not commit.dirty
    assert commit.created == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("change", ["edited", "added"])
def test_any_change_makes_it_dirty_and_gives_another_fingerprint(root: Path, change: str) -> None:
    before = project.fingerprint()
    (root / ("file" if change == "edited" else "another")).write_text("two")

    assert project.commit().dirty
    assert project.fingerprint() != before


def test_ignored_files_change_nothing(root: Path) -> None:
    (root / ".gitignore").write_text("build\n")
    before = project.fingerprint()
    (root / "build").write_text("")

    assert project.fingerprint() == before
