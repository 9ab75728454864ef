"""The checkout: commit, origin and fingerprint."""

import subprocess
from pathlib import Path

import pytest

from scripts import checkout
from scripts.grammar import Revision


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one file in one commit with a known time."""
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
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
def test_a_clean_checkout_has_revision_and_time() -> None:
    commit = checkout.commit()

    assert len(commit.revision) == 40
    assert not commit.dirty
    assert commit.created == "2026-01-02T03:04:05Z"


@pytest.mark.parametrize("change", ["edited", "added"])
def test_any_change_makes_the_checkout_dirty_and_changes_the_fingerprint(root: Path, change: str) -> None:
    before = checkout.fingerprint()
    (root / ("file" if change == "edited" else "another")).write_text("two")

    assert checkout.commit().dirty
    assert checkout.fingerprint() != before


def test_ignored_files_change_nothing(root: Path) -> None:
    (root / ".gitignore").write_text("build\n")
    before = checkout.fingerprint()
    (root / "build").write_text("")

    assert checkout.fingerprint() == before


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
def test_the_origin_is_a_url(root: Path, origin: str | None, home: str) -> None:
    if origin:
        subprocess.run(["git", "remote", "add", "origin", origin], cwd=root, check=True)

    assert checkout.repository() == home


def test_on_github_the_repository_is_that_of_the_workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/fork")
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")

    assert checkout.repository() == "https://github.com/me/fork"


def test_a_branch_contains_a_commit_here_or_at_origin(root: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], cwd=root, check=True)

    git("branch", "--move", "main")
    first = checkout.commit().revision
    git("checkout", "--quiet", "-b", "feature")
    git("commit", "--quiet", "--allow-empty", "--message", "second")
    second = checkout.commit().revision

    assert checkout.is_in(first, "main")
    assert not checkout.is_in(second, "main")
    assert checkout.is_in(second, "HEAD")
    assert not checkout.is_in(Revision("0" * 40), "HEAD")
    git("update-ref", "refs/remotes/origin/main", second)
    assert checkout.is_in(second, "main")


def test_no_setting_hides_a_change(root: Path) -> None:
    subprocess.run(["git", "config", "status.showUntrackedFiles", "no"], cwd=root, check=True)
    subprocess.run(["git", "config", "log.showSignature", "true"], cwd=root, check=True)
    (root / "another").write_text("two")

    assert checkout.commit().dirty
    assert checkout.commit().work_tree == f"{checkout.commit().revision}-dirty"
