"""`./ship status`, where no environment can be asked: what runs is shown by the integration tests."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts import record, terminal
from scripts.failure import Failure
from scripts.running import State
from scripts.status import age, as_json, status, statuses
from tests.unit.scripts.repository import Repository, release, text


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
        "detail": "no URL, and docker is not installed",
    }


def test_what_is_not_known_is_no_drift(repository: Repository) -> None:
    repository.record("test", "1.0.0")

    assert status(check=True) == "no drift is known"


def test_an_environment_that_does_not_answer_fails_the_check(repository: Repository) -> None:
    """Nobody listens on the first port."""
    repository.write("test", text("1.0.0", URL="http://127.0.0.1:1"))

    assert status() == "test does not answer"
    with pytest.raises(Failure, match="test does not answer"):
        status(check=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (text("1.0.0", DIGEST="garbage"), "test.env, line 2: 'garbage' is not a digest"),
        (f"{text('1.0.0')}DIGEST={release('1.1.0').digest}\n", "test.env, line 4: DIGEST is in line 2 already"),
        (f"{text('1.0.0')}digest={release('1.1.0').digest}\n", "test.env, line 4: 'digest="),
        (text("1.0.0", VERSION="$(touch pwned)"), "test.env, line 1: '$(touch pwned)' is not a version"),
        ("# Größe\n".encode("latin-1"), "test.env, line 1: b'# Gr"),
    ],
)
def test_a_record_that_breaks_the_format_is_said_beside_the_others(
    repository: Repository, capsys: pytest.CaptureFixture[str], content: str | bytes, said: str
) -> None:
    repository.record("dev", "1.0.0")
    repository.write("test", content)

    assert said in status()

    dev, test, prod = statuses()
    assert dev.entry
    assert dev.entry.release == release("1.0.0")
    assert (test.entry, test.running.state, prod.entry) == (None, State.REFUSED, None)
    assert "nothing yet" not in next(row for row in capsys.readouterr().out.splitlines() if row.startswith("│ test"))
    with pytest.raises(Failure) as failure:
        status(check=True)
    assert said in failure.value.reason
    assert "does not run" not in failure.value.reason


def test_a_missing_record_is_said_beside_the_others(repository: Repository) -> None:
    repository.record("dev", "1.0.0")
    repository.git("rm", "--quiet", str(record.Record("test").path))
    repository.git("commit", "--quiet", "--message", "away")

    assert "no file deploy/environments/test.env" in status()
    assert [row.running.state for row in statuses()] == [State.UNKNOWN, State.REFUSED, State.UNKNOWN]


def test_what_head_has_is_shown_also_when_it_was_committed_by_hand(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    commit = repository.write("test", text("1.0.0", VERSION="9.9.9"))

    [test] = [row for row in json.loads(as_json(statuses())) if row["environment"] == "test"]

    assert (test["version"], test["digest"], test["commit"]) == ("9.9.9", release("1.0.0").digest, commit)


def test_a_narrow_terminal_folds_and_cuts_no_version_and_no_digest(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.console, "width", 40)
    repository.write("test", text("1.0.0", VERSION="1.4.0rc12"))

    status()

    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    versions, digests = ("".join(row[column].strip() for row in rows) for column in (1, 2))
    assert "1.4.0rc12" in versions
    assert release("1.0.0").digest.short in digests


def test_nothing_that_an_author_calls_himself_moves_the_cursor(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada\x1b[2A\u2028✓ test")
    repository.record("test", "1.0.0")

    status()

    said = capsys.readouterr().out
    assert r"Ada\x1b[2A\u2028✓ test" in said
    assert not {"\x1b", "\u2028"} & set(said)


def test_a_clone_without_its_whole_history_shows_nothing_even_where_nothing_is_recorded(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{repository.path}", tmp_path / "shallow"], check=True
    )
    monkeypatch.setattr(record, "ROOT", tmp_path / "shallow")

    with pytest.raises(Failure, match="no whole history"):
        status()


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
