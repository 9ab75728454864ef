"""What is known of the checkout."""

import subprocess
from pathlib import Path

import pytest

from scripts import project
from scripts.failure import Failure
from scripts.grammar import Revision


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


@pytest.mark.parametrize(
    ("origin", "home"),
    [
        ("https://github.com/me/house-price.git", "https://github.com/me/house-price"),
        ("https://token@github.com/me/house-price", "https://github.com/me/house-price"),
        ("git@github.com:me/house-price.git", "https://github.com/me/house-price"),
        ("ssh://git@github.com/me/house-price.git", "https://github.com/me/house-price"),
        ("ssh://git@git.example.com:2222/me/house-price.git", "https://git.example.com/me/house-price"),
        ("../elsewhere/house-price", ""),
        ("/srv/git/house-price.git", ""),
        (None, ""),
    ],
)
def test_where_the_project_lives(root: Path, origin: str | None, home: str) -> None:
    if origin:
        subprocess.run(["git", "remote", "add", "origin", origin], cwd=root, check=True)

    assert project.repository() == home


def test_on_github_it_lives_where_the_workflow_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/fork")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")

    assert project.repository() == "https://github.com/me/fork"


def test_a_commit_is_in_a_branch_here_or_at_origin(root: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], cwd=root, check=True)

    git("branch", "--move", "main")
    first = project.commit().revision
    git("checkout", "--quiet", "-b", "feature")
    git("commit", "--quiet", "--allow-empty", "--message", "second")
    second = project.commit().revision

    assert project.is_in(first, "main")
    assert not project.is_in(second, "main")
    assert project.is_in(second, "HEAD")
    assert not project.is_in(Revision("0" * 40), "HEAD")
    git("update-ref", "refs/remotes/origin/main", second)
    assert project.is_in(second, "main")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[project]\nversion = 1.0.0\n", "no version can be read from pyproject.toml"),
        ("[project]\n", "no version can be read from pyproject.toml: 'version'"),
        ("project = 1\n", "no version can be read from pyproject.toml"),
        ("[project]\nversion = 1.0\n", "the version in pyproject.toml: 1.0 is not a version"),
        ('[project]\nversion = "01.0.0"\n', "the version in pyproject.toml: '01.0.0' is not a version"),
        ('[project]\nversion = "$(touch pwned)"\n', "the version in pyproject.toml: '$(touch pwned)' is not a version"),
        ("\xff", "no version can be read from pyproject.toml"),
    ],
)
def test_a_version_that_is_none_is_refused_and_shown_how(root: Path, content: str, reason: str) -> None:
    (root / "pyproject.toml").write_bytes(content.encode("latin-1"))

    with pytest.raises(Failure) as failed:
        project.version()

    assert failed.value.reason.startswith(reason)
    assert failed.value.remedy == 'version = "1.0.0", with quotes, in the section [project]'


def test_no_setting_hides_that_files_differ_from_the_commit(root: Path) -> None:
    subprocess.run(["git", "config", "status.showUntrackedFiles", "no"], cwd=root, check=True)
    subprocess.run(["git", "config", "log.showSignature", "true"], cwd=root, check=True)
    (root / "another").write_text("two")

    assert project.commit().dirty
    assert project.commit().work_tree == f"{project.commit().revision}-dirty"
