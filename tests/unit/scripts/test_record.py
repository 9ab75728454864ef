"""The record of an environment, and what its history says."""

import subprocess
from pathlib import Path

import pytest

from scripts import ROOT, record
from scripts.failure import Failure
from scripts.record import ENVIRONMENTS, Record
from tests.unit.scripts.repository import EMPTY, Repository, release


def stack(environment: str = "test") -> list[str]:
    return [entry.release.version for entry in Record(environment).stack()]


def test_this_project_has_a_readable_record_of_every_environment() -> None:
    for environment in ENVIRONMENTS:
        assert (ROOT / Record(environment).path).is_file()
        _ = Record(environment).release


@pytest.mark.usefixtures("repository")
def test_before_the_first_promotion_nothing_is_recorded() -> None:
    assert Record("test").release is None
    assert Record("test").history() == []


def test_an_entry_says_what_since_when_and_by_whom(repository: Repository) -> None:
    commit = repository.record("test", "1.0.0")

    [entry] = Record("test").history()

    assert entry.release == Record("test").release == release("1.0.0")
    assert (entry.commit, entry.author, entry.epoch) == (commit, "Ada", 1767323045)


def test_only_what_is_committed_counts(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.file("test").write_text("VERSION=6\nDIGEST=sha256:6\nREVISION=6\nURL=https://other.example\n")

    assert Record("test").edited
    assert Record("test").release == release("1.0.0")
    assert Record("test").url == ""


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
def test_going_back_takes_what_was_above_out_of_the_stack(
    repository: Repository, given: list[str], held: list[str]
) -> None:
    for version in given:
        repository.record("test", version)

    assert stack() == held
    assert [entry.release.version for entry in Record("test").history()] == given


def test_a_rollback_is_since_its_own_commit(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.record("test", "1.1.0")
    back = repository.record("test", "1.0.0")

    assert Record("test").stack()[-1].commit == back


def test_a_url_or_a_comment_does_not_start_anew(repository: Repository) -> None:
    commit = repository.record("test", "1.0.0")
    repository.write("test", repository.file("test").read_text() + "# slow on Mondays\nURL='https://test.example'\n")

    assert Record("test").url == "https://test.example"
    assert [entry.commit for entry in Record("test").stack()] == [commit]


def test_an_emptied_record_is_nothing_now_and_no_step_back(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.write("test", EMPTY)

    assert Record("test").release is None
    assert stack() == ["1.0.0"]


def test_a_record_that_was_away_for_a_while_keeps_its_history(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.git("rm", "--quiet", str(Record("test").path))
    repository.git("commit", "--quiet", "--message", "away")
    repository.record("dev", "1.0.0")
    repository.file("test").write_text(EMPTY)
    repository.git("add", "--all")
    repository.record("test", "1.1.0")

    assert stack() == ["1.0.0", "1.1.0"]


def test_a_garbled_record_is_said_so(repository: Repository) -> None:
    repository.write("test", "VERSION=1.0.0\n")

    with pytest.raises(Failure, match=r"test\.env needs VERSION, DIGEST and REVISION"):
        _ = Record("test").release


def test_a_merged_pull_request_counts_once_by_its_merge(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.git("switch", "--quiet", "--create", "promote")
    repository.record("test", "1.1.0")
    repository.record("test", "1.2.0")
    repository.git("switch", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "--message", "Merge", "promote")

    assert stack() == ["1.0.0", "1.2.0"]
    assert Record("test").stack()[-1].commit == repository.head


def test_a_shallow_clone_cannot_say_what_ran(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.record("test", "1.0.0")
    source = f"file://{repository.path}"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", source, str(tmp_path / "shallow")], check=True)
    monkeypatch.setattr(record, "ROOT", tmp_path / "shallow")

    with pytest.raises(Failure) as failure:
        Record("test").history()

    assert "git fetch --unshallow" in failure.value.remedy
