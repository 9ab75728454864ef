"""Git, asked about one repository, whatever the environment says of another."""

from pathlib import Path

import pytest

from scripts import git
from tests.unit.scripts.repository import Repository


@pytest.fixture
def other(tmp_path: Path, repository: Repository) -> Repository:
    """A second repository, with another history."""
    other = Repository(tmp_path / "other")
    other.path.mkdir()
    other.start()
    other.record("test", "1.0.0")
    assert other.head != repository.head
    return other


@pytest.mark.parametrize(
    ("variable", "of_other"),
    [
        ("GIT_DIR", ".git"),
        ("GIT_WORK_TREE", "."),
        ("GIT_INDEX_FILE", ".git/index"),
        ("GIT_OBJECT_DIRECTORY", ".git/objects"),
    ],
)
def test_the_variables_of_a_hook_name_no_other_repository(
    repository: Repository, other: Repository, variable: str, of_other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, status = repository.record("prod", "1.2.0"), repository.git("status", "--porcelain")
    monkeypatch.setenv(variable, str(other.path / of_other))

    assert git.line("rev-parse", "HEAD", root=repository.path) == head
    assert git.line("status", "--porcelain", root=repository.path) == status
    assert git.contents([f"{head}:deploy/environments/dev.env"], root=repository.path) != [None]


def test_a_setting_in_the_environment_stays(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """A workflow says like this that a checkout is safe."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Zoë")

    assert git.line("config", "user.name", root=repository.path) == "Zoë"


def test_a_commit_is_what_was_committed_not_what_git_replaced_it_with(repository: Repository) -> None:
    true = repository.record("test", "1.0.0")
    false = repository.record("test", "1.1.0")
    before = git.contents([f"{true}:deploy/environments/test.env"], root=repository.path)
    repository.git("replace", true, false)

    assert git.contents([f"{true}:deploy/environments/test.env"], root=repository.path) == before


def test_git_answers_in_english(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says of a checkout that belongs to somebody else is looked for by its words."""
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    repository.git("config", "alias.locale", '!printf %s "$LC_ALL"')

    assert git.line("locale", root=repository.path) == "C"
