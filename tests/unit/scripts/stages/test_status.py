"""`./ship status`: what is recorded and what runs."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import console
from scripts.environments import record
from scripts.environments.drift import Comparison, State
from scripts.errors import Failure
from scripts.stages.status import Status, age, as_json, status, statuses
from tests.unit.scripts.program import Program, prints
from tests.unit.scripts.repository import Repository, release, text
from tests.unit.scripts.table import cells


@pytest.fixture(autouse=True)
def no_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with nothing but git."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


@pytest.fixture
def docker(tmp_path: Path) -> Program:
    """A Docker engine that runs 1.0.0 in each environment."""
    running = {"Config": {"Image": f"ghcr.io/me/x@{release('1.0.0').digest}"}, "State": {"Running": True}}
    docker = Program(tmp_path / "bin" / "docker")
    docker.answer({"ps": prints("one\n"), "container": prints(json.dumps([running]))})
    return docker


@pytest.fixture
def three_days_later_in_india(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Five and a half hours east of UTC, three days after the commits of `repository`."""
    monkeypatch.setattr(time, "time", lambda: 1767323045.0 + 3 * 86400)
    with monkeypatch.context() as there:
        there.setenv("TZ", "IST-5:30")
        time.tzset()
        yield
    time.tzset()


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the cells of the table that `status` prints on a wide terminal, the header first."""
    monkeypatch.setattr(console.console, "width", 400)
    status()
    return cells(capsys.readouterr().out)


@pytest.mark.usefixtures("docker", "three_days_later_in_india")
def test_a_row_has_version_digest_time_author_and_state(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.record("test", "1.0.0")
    repository.write("prod", text("1.0.0", DIGEST="garbage"))

    digest = release("1.0.0").digest.short
    header, dev, test, (prod, *nothing, refused) = shown(capsys, monkeypatch)
    assert header == ["environment", "version", "digest", "since (UTC)", "by", "runs"]
    assert dev == ["dev", "nothing yet", "", "", "", f"other: no version ({digest})"]
    assert test == ["test", "1.0.0", digest, "2026-01-02 03:04, 3 days", f"{commit[:12]} Ada", "same"]
    assert (prod, nothing) == ("prod", [""] * 4)
    assert refused.startswith("record refused: deploy/environments/prod.env, line 2: ")


def test_uncommitted_changes_are_marked(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("test", text("1.0.0", DIGEST="garbage"))
    for environment in ("test", "prod"):
        repository.file(environment).write_text("")

    assert [name for name, *_ in shown(capsys, monkeypatch)] == [
        "environment", "dev", "test (edited, not committed)", "prod (edited, not committed)"
    ]  # fmt: skip


def test_the_status_can_be_printed_as_json(repository: Repository) -> None:
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


def test_the_json_is_readable() -> None:
    silent = Status("test", None, edited=True, running=Comparison(State.SILENT, "http://127.0.0.1:1: refused"))

    assert (
        as_json([silent])
        == """[
  {
    "environment": "test",
    "version": null,
    "digest": null,
    "revision": null,
    "since": null,
    "commit": null,
    "author": null,
    "edited": true,
    "runs": "no answer",
    "detail": "http://127.0.0.1:1: refused"
  }
]"""
    )


@pytest.mark.usefixtures("docker")
def test_drift_fails_the_check(repository: Repository) -> None:
    for environment, version in (("dev", "1.0.0"), ("test", "1.1.0"), ("prod", "1.2.0")):
        repository.record(environment, version)

    assert status() == "what is recorded does not run in test and prod"
    with pytest.raises(Failure, match=r"^what is recorded does not run in test and prod$") as drifted:
        status(check=True)
    assert drifted.value.remedy == "deploy what is recorded, or ./ship rollback"


@pytest.mark.usefixtures("docker")
def test_a_refused_record_must_be_corrected_first(repository: Repository) -> None:
    repository.write("dev", text("1.0.0", DIGEST="garbage"))
    repository.record("test", "1.1.0")
    repository.write("prod", text("1.0.0", URL="http://127.0.0.1:1"))

    with pytest.raises(Failure) as failure:
        status(check=True)

    refused, *others = failure.value.reason.split("; ")
    assert refused.startswith("record refused: deploy/environments/dev.env, line 2: ")
    assert others == ["what is recorded does not run in test", "prod does not answer"]
    assert failure.value.remedy == "mend the record and commit it"


def test_an_unknown_state_is_no_drift(repository: Repository) -> None:
    repository.record("test", "1.0.0")

    assert status(check=True) == "no drift is known"


def test_an_environment_that_does_not_answer_fails_the_check(repository: Repository) -> None:
    """Nothing listens on port 1."""
    repository.write("test", text("1.0.0", URL="http://127.0.0.1:1"))

    assert status() == "test does not answer"
    with pytest.raises(Failure, match="test does not answer"):
        status(check=True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (text("1.0.0", DIGEST="garbage"), "test.env, line 2: 'garbage' is not a digest"),
        (f"{text('1.0.0')}DIGEST={release('1.1.0').digest}\n", "test.env, line 4: DIGEST is already in line 2"),
        (f"{text('1.0.0')}digest={release('1.1.0').digest}\n", "test.env, line 4: 'digest="),
        (text("1.0.0", VERSION="$(touch pwned)"), "test.env, line 1: '$(touch pwned)' is not a version"),
        ("# Größe\n".encode("latin-1"), "test.env, line 1: b'# Gr"),
    ],
)
def test_a_malformed_record_is_shown_beside_the_others(
    repository: Repository, capsys: pytest.CaptureFixture[str], content: str | bytes, reason: str
) -> None:
    repository.record("dev", "1.0.0")
    repository.write("test", content)

    assert reason in status()

    dev, test, prod = statuses()
    assert dev.entry
    assert dev.entry.release == release("1.0.0")
    assert (test.entry, test.running.state, prod.entry) == (None, State.REFUSED, None)
    assert "nothing yet" not in next(row for row in capsys.readouterr().out.splitlines() if row.startswith("│ test"))
    with pytest.raises(Failure) as failure:
        status(check=True)
    assert reason in failure.value.reason
    assert "does not run" not in failure.value.reason


def test_a_missing_record_is_shown_beside_the_others(repository: Repository) -> None:
    repository.record("dev", "1.0.0")
    repository.git("rm", "--quiet", str(record.Record("test").path))
    repository.git("commit", "--quiet", "--message", "away")

    assert "no file deploy/environments/test.env" in status()
    assert [row.running.state for row in statuses()] == [State.UNKNOWN, State.REFUSED, State.UNKNOWN]


def test_a_record_committed_by_hand_is_shown(repository: Repository) -> None:
    repository.record("test", "1.0.0")
    commit = repository.write("test", text("1.0.0", VERSION="9.9.9"))

    [test] = [row for row in json.loads(as_json(statuses())) if row["environment"] == "test"]

    assert (test["version"], test["digest"], test["commit"]) == ("9.9.9", release("1.0.0").digest, commit)


def test_a_narrow_terminal_cuts_no_version_and_no_digest(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.console, "width", 40)
    repository.write("test", text("1.0.0", VERSION="1.4.0rc12"))

    status()

    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    versions, digests = ("".join(row[column].strip() for row in rows) for column in (1, 2))
    assert "1.4.0rc12" in versions
    assert release("1.0.0").digest.short in digests


def test_the_name_of_an_author_cannot_move_the_cursor(
    repository: Repository, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada\x1b[2A\u2028✓ test")
    repository.record("test", "1.0.0")

    status()

    printed = capsys.readouterr().out
    assert r"Ada\x1b[2A\u2028✓ test" in printed
    assert not {"\x1b", "\u2028"} & set(printed)


def test_a_shallow_clone_has_no_status(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{repository.path}", tmp_path / "shallow"], check=True
    )
    monkeypatch.setattr(record, "ROOT", tmp_path / "shallow")

    with pytest.raises(Failure, match="shallow clone"):
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
def test_an_age_has_its_largest_unit(seconds: float, words: str) -> None:
    assert age(seconds) == words
