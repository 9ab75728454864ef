"""What `./ship` tells GitHub Actions, and what it asks of a repository there."""

import json
from pathlib import Path

import pytest

from scripts.errors import Failure
from scripts.github import actions


def event(monkeypatch: pytest.MonkeyPatch, path: Path, content: str) -> None:
    path.write_text(content)
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(path))


def test_outputs_are_added_to_those_that_are_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    actions.output("digest", "sha256:1")
    actions.output("repositories", '["ghcr.io/me/x"]')

    assert (tmp_path / "output").read_text() == 'digest=sha256:1\nrepositories=["ghcr.io/me/x"]\n'


def test_an_output_cannot_bring_another_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    actions.output("digest", "sha256:1\nlatest=true")

    assert (tmp_path / "output").read_text() == "digest=sha256:1\\nlatest=true\n"


def test_elsewhere_nothing_is_written_and_nothing_refused() -> None:
    actions.output("digest", "sha256:1")
    actions.require_public()


def test_a_warning_is_one_of_the_run_on_github_and_a_line_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    actions.warn("not recorded")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    actions.warn("not\nrecorded")

    assert capsys.readouterr().out == "  not recorded\n::warning::not\\nrecorded\n"


def test_a_public_repository_may_publish(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    event(monkeypatch, tmp_path / "event.json", '{"repository": {"full_name": "me/x", "private": false, "id": 1}}')

    actions.require_public()


def test_a_private_repository_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    event(monkeypatch, tmp_path / "event.json", '{"repository": {"full_name": "me/x", "private": true}}')

    with pytest.raises(Failure, match=r"me/x is private, so nobody else could verify") as refused:
        actions.require_public()
    assert "docs/publishing.md" in refused.value.remedy


@pytest.mark.parametrize("content", ["", "{}", '{"repository": {"full_name": "me/x"}}', json.dumps({"repository": 1})])
def test_an_event_that_does_not_say_is_not_taken_for_public(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    event(monkeypatch, tmp_path / "event.json", content)

    with pytest.raises(Failure, match="GitHub's description of this run"):
        actions.require_public()
