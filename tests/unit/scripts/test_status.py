"""`./ship status`, where no environment can be asked: what runs is shown by the integration tests."""

import json
import shutil
from pathlib import Path

import pytest

from scripts.failure import Failure
from scripts.status import age, as_json, status, statuses
from tests.unit.scripts.repository import Repository, release


@pytest.fixture(autouse=True)
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH on which there is git and nothing else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def test_a_row_says_version_digest_since_and_by_whom(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = repository.record("test", "1.0.0")

    status()

    dev, test, prod = (line for line in capsys.readouterr().out.splitlines() if line.startswith("│"))
    assert "nothing yet" in dev
    assert "nothing yet" in prod
    for cell in (
        "test",
        "1.0.0",
        release("1.0.0").digest[:19],
        "2026-01-02 03:04, ",
        f"{commit[:12]} Ada",
        "not known",
    ):
        assert cell in test


def test_uncommitted_changes_are_pointed_out(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.file("prod").write_text("")

    status()

    assert "prod (edited, not committed)" in capsys.readouterr().out


def test_the_same_for_programs(repository: Repository) -> None:
    commit = repository.record("test", "1.0.0")

    dev, test, prod = json.loads(as_json(statuses()))

    assert (dev["environment"], dev["version"], prod["environment"]) == ("dev", None, "prod")
    assert test == {
        "environment": "test",
        "version": "1.0.0",
        "digest": release("1.0.0").digest,
        "revision": release("1.0.0").revision,
        "since": "2026-01-02T03:04:05+00:00",
        "commit": commit,
        "author": "Ada",
        "edited": False,
        "runs": "not known",
        "detail": "no URL, no Docker engine here",
    }


def test_what_is_not_known_is_no_drift(repository: Repository) -> None:
    repository.record("test", "1.0.0")

    assert status(check=True) == "no drift is known"


def test_an_environment_that_does_not_answer_fails_the_check(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    repository.write("test", repository.file("test").read_text() + "URL=test.example\n")

    assert "does not run in test" in status()
    with pytest.raises(Failure, match="does not run in test"):
        status(check=True)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "under a minute"),
        (59, "under a minute"),
        (60, "1 minute"),
        (7199, "1 hour"),
        (7200, "2 hours"),
        (86400 * 400, "400 days"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words
