"""The record of an environment and its history."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts import ROOT, checkout
from scripts.environments import record
from scripts.environments.record import ENVIRONMENTS, Record, require_history
from scripts.environments.record_file import Fields
from scripts.errors import Failure
from tests.unit.scripts.repository import EMPTY, Repository, release, text


def stack(environment: str = "test") -> list[str]:
    return [entry.release.version for entry in Record(environment).stack()]


def test_this_project_has_a_readable_record_of_every_environment() -> None:
    for environment in ENVIRONMENTS:
        assert (ROOT / Record(environment).path).is_file()
        _ = Record(environment).fields


@pytest.mark.usefixtures("repository")
def test_a_record_is_empty_before_the_first_promotion() -> None:
    assert Record("test").fields == Fields(None, None)
    assert Record("test").history() == []


def test_an_entry_has_release_time_and_author(repository: Repository) -> None:
    commit = repository.record("test", "1.0.0")

    [entry] = Record("test").history()

    assert entry.release == Record("test").fields.release == release("1.0.0")
    assert (entry.commit, entry.author, entry.epoch) == (commit, "Ada", 1767323045)


def test_only_commits_count(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.file("test").write_text(text("1.1.0", URL="https://other.example"))

    assert Record("test").edited
    assert Record("test").fields == Fields(release("1.0.0"), None)


def test_a_change_that_git_ignores_is_an_edit(repository: Repository) -> None:
    repository.git("config", "status.showUntrackedFiles", "no")
    repository.git("update-index", "--assume-unchanged", str(Record("test").path))
    repository.file("test").write_text(text("1.0.0"))

    assert Record("test").edited
    assert not Record("dev").edited


def test_a_missing_file_or_a_directory_is_an_edit(repository: Repository) -> None:
    repository.file("test").unlink()
    repository.file("dev").unlink()
    repository.file("dev").mkdir()

    assert Record("test").edited
    assert Record("dev").edited


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (["1.0.0", "1.1.0", "1.2.0"], ["1.0.0", "1.1.0", "1.2.0"]),
        (["1.0.0", "1.1.0", "1.0.0"], ["1.0.0"]),
        (["1.0.0", "1.1.0", "1.2.0", "1.1.0"], ["1.0.0", "1.1.0"]),
        (["1.0.0", "1.1.0", "1.2.0", "1.1.0", "1.0.0"], ["1.0.0"]),
        (["1.0.0", "1.1.0", "1.0.0", "1.2.0"], ["1.0.0", "1.2.0"]),
        (["1.0.0", "1.1.0", "1.0.0", "1.1.0"], ["1.0.0", "1.1.0"]),
    ],
)
def test_a_rollback_removes_later_releases_from_the_stack(
    repository: Repository, given: list[str], held: list[str]
) -> None:
    for version in given:
        repository.record("test", version)

    assert stack() == held
    assert [entry.release.version for entry in Record("test").history()] == given


def test_a_rollback_has_the_time_of_its_own_commit(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.record("test", "1.1.0")
    back = repository.record("test", "1.0.0")

    assert Record("test").stack()[-1].commit == back


def test_a_url_or_a_comment_is_no_entry(repository: Repository) -> None:
    commit = repository.record("test", "1.0.0")
    repository.write("test", text("1.0.0") + "# slow on Mondays\nURL=https://test.example\n")

    assert Record("test").fields.url == "https://test.example"
    assert [entry.commit for entry in Record("test").stack()] == [commit]
    assert [entry.commit for entry in Record("test").history()] == [commit]


def test_an_emptied_record_has_no_release_and_is_no_rollback(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.write("test", EMPTY)

    assert Record("test").fields.release is None
    assert stack() == ["1.0.0"]

    again = repository.record("test", "1.0.0")
    assert [entry.commit for entry in Record("test").stack()] == [again]


@pytest.mark.parametrize("field", ["VERSION", "REVISION"])
def test_another_version_or_revision_makes_another_release_of_a_digest(repository: Repository, field: str) -> None:
    repository.record("test", "1.0.0")
    false = {"VERSION": "9.9.9", "REVISION": "f" * 40}[field]
    commit = repository.write("test", text("1.0.0", **{field: false}))

    first, last = Record("test").stack()

    assert first.release == release("1.0.0")
    assert last.release == Record("test").fields.release != first.release
    assert last.commit == commit


def test_a_deleted_and_restored_record_keeps_its_history(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.git("rm", "--quiet", str(Record("test").path))
    repository.git("commit", "--quiet", "--message", "away")
    repository.record("dev", "1.0.0")
    repository.file("test").write_text(EMPTY)
    repository.git("add", "--all")
    repository.record("test", "1.1.0")

    assert stack() == ["1.0.0", "1.1.0"]


def test_a_malformed_record_is_refused_and_has_no_entry(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.write("test", text("1.1.0", DIGEST="garbage"))

    with pytest.raises(Failure, match=r"deploy/environments/test\.env, line 2: 'garbage' is not a digest"):
        _ = Record("test").fields

    repository.record("test", "1.2.0")
    assert stack() == ["1.0.0", "1.2.0"]


def test_a_record_that_is_missing_from_the_last_commit_is_named(repository: Repository) -> None:
    for environment in ("dev", "test"):
        repository.file(environment).unlink()
    repository.file("test").mkdir()
    (repository.file("test") / "file").write_text("")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "away")

    for environment in ("dev", "test"):
        with pytest.raises(Failure, match=rf"the last commit has no file deploy/environments/{environment}\.env"):
            _ = Record(environment).fields


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x1c", "\x0b", "\x0c", "\r", "\t"])
def test_an_author_can_have_any_name(repository: Repository, separator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"Ada{separator}Lovelace"
    monkeypatch.setenv("GIT_AUTHOR_NAME", name)
    commits = [repository.record("test", version) for version in ("1.0.0", "1.1.0")]

    assert [(entry.commit, entry.author) for entry in Record("test").history()] == [(each, name) for each in commits]


def test_an_author_is_decoded_whatever_git_is_set_to(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Zoë")
    repository.git("config", "i18n.logOutputEncoding", "latin1")
    repository.record("test", "1.0.0")

    assert [entry.author for entry in Record("test").history()] == ["Zoë"]


def test_a_commit_after_the_year_9999_has_the_latest_time(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "@999999999999 +0000")
    repository.record("test", "1.0.0")

    assert [entry.epoch for entry in Record("test").history()] == [record.LATEST]


def test_a_project_in_a_subfolder_has_its_own_records(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = repository.record("test", "1.0.0")
    inner = Repository(repository.path / "inner")
    monkeypatch.setattr(record, "ROOT", inner.path)
    inner.file("test").parent.mkdir(parents=True)
    inner.file("test").write_text(text("1.1.0"))
    inner.git("add", "--all")
    commit = inner.write("test", text("1.2.0"))

    assert Record("test").fields.release == release("1.2.0")
    assert [entry.commit for entry in Record("test").history()] == [commit]
    assert outer != commit


def test_a_merged_pull_request_is_one_entry(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.git("switch", "--quiet", "--create", "promote")
    repository.record("test", "1.1.0")
    repository.record("test", "1.2.0")
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", "Merge", "promote")

    assert stack() == ["1.0.0", "1.2.0"]
    assert Record("test").stack()[-1].commit == repository.head


def test_a_shallow_clone_has_no_usable_history(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.record("test", "1.0.0")
    source = f"file://{repository.path}"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", source, str(tmp_path / "shallow")], check=True)
    monkeypatch.setattr(record, "ROOT", tmp_path / "shallow")

    with pytest.raises(Failure) as failure:
        Record("test").history()

    assert "git fetch --unshallow" in failure.value.remedy


def test_outside_a_repository_the_error_is_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))

    with pytest.raises(Failure, match="not a git repository"):
        require_history()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a repository")
def test_a_repository_of_another_user_is_refused_with_the_advice_of_git(repository: Repository) -> None:
    os.chown(repository.path, 12345, -1)
    os.chown(repository.path / ".git", 12345, -1)

    for ask in (require_history, Record("test").history, lambda: Record("test").fields):
        with pytest.raises(Failure, match="dubious ownership") as failure:
            ask()
        assert failure.value.remedy.startswith("git config --global --add safe.directory")


def test_a_commit_whose_time_no_format_shows_is_read(repository: Repository) -> None:
    """Git re-encodes a commit before it fills in a format, so one in UTF-16 of even length shows no time."""
    repository.record("test", "1.0.0")
    utf16 = ("-c", "i18n.commitEncoding=UTF-16LE", "commit", "--quiet", "--all")
    for extra in ("", "x"):
        repository.git(*utf16, "--allow-empty", "--message", f"nothing{extra}")
        repository.file("test").write_text(f"# {extra}\n{text('1.1.0')}")
        repository.git(*utf16, "--message", f"by hand{extra}")

    assert [entry.release for entry in Record("test").history()] == [release("1.0.0"), release("1.1.0")]
    assert checkout.commit(repository.path).revision == repository.head


def test_a_record_that_is_a_link_is_refused(repository: Repository) -> None:
    """The text of the link can be a valid record, while a shell reads another file."""
    target = text("1.0.0")
    (repository.file("test").parent / target).write_text(text("1.1.0"))
    repository.file("test").unlink()
    repository.file("test").symlink_to(target)
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "a link")

    with pytest.raises(Failure, match="is a link, but a record must be a file"):
        _ = Record("test").fields
