"""`./ship submit`: how a promotion gets to main, by a push or a pull request."""

import os
import shutil
from pathlib import Path

import pytest

from scripts.environments.record import Record
from scripts.errors import Failure
from scripts.stages import submit as submitting
from scripts.stages.promote import promote
from scripts.stages.submit import GITHUB, HOST_KEY, submit
from tests.unit.scripts.repository import Repository, release, verified

# The message of GitHub's server: https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/
# managing-rulesets/troubleshooting-rules
PROTECTED = """#!/bin/sh
while read -r old new ref; do
    [ "${ref#RULED}" = "$ref" ] || { echo "error: GH013: Repository rule violations found for $ref." >&2; exit 1; }
done
"""


@pytest.fixture
def hub(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A bare repository in place of GitHub, the origin of `repository`."""
    for variable in ("SHIP_DEPLOY_KEY", "GH_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(submitting, "ROOT", repository.path)
    hub = Repository(tmp_path / "me" / "x.git")
    hub.path.mkdir(parents=True)
    hub.git("init", "--quiet", "--bare", "--initial-branch=main")
    repository.git("remote", "add", "origin", str(hub.path))
    repository.git("push", "--quiet", "origin", "main")
    return hub


def program(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program `name` ahead of all others."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `gh` that opens pull requests; returns the file where it records its arguments."""
    asked = tmp_path / "asked"
    program(tmp_path / "bin", "gh", f'echo "$@" >>{asked}; echo https://github.com/me/x/pull/7', monkeypatch)
    return asked


def protect(hub: Repository, ruled: str = "refs/heads/main") -> None:
    """Reject pushes to `main`, or to every branch that begins with `ruled`, like a ruleset."""
    path = hub.path / "hooks" / "pre-receive"
    path.parent.mkdir(exist_ok=True)
    path.write_text(PROTECTED.replace("RULED", ruled))
    path.chmod(0o755)


def dev(hub: Repository, branch: str = "main") -> str:
    return hub.git("show", f"{branch}:{Record('dev').path}")


def branches(hub: Repository) -> list[str]:
    return hub.git("branch", "--format=%(refname:short)").splitlines()


def commit_elsewhere(hub: Repository, tmp_path: Path, name: str, content: str) -> Repository:
    """Let somebody else commit a file on top of main in another clone; return that clone."""
    other = Repository(tmp_path / "other")
    hub.git("clone", "--quiet", str(hub.path), str(other.path))
    (other.path / name).write_text(content)
    other.git("add", "--all")
    other.git("commit", "--quiet", "--message", "somebody else's")
    return other


def merge_elsewhere(hub: Repository, tmp_path: Path, name: str, content: str) -> None:
    """Let somebody else push a file to main."""
    commit_elsewhere(hub, tmp_path, name, content).git("push", "--quiet", "origin", "main")


def test_a_promotion_is_pushed_to_main(hub: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)

    assert submit("dev") == "main has what dev shall run"
    assert release("1.0.0").digest in dev(hub)
    assert branches(hub) == ["main"]


def test_nothing_to_push_is_no_failure(hub: Repository, gh: Path) -> None:
    before = hub.head

    assert "nothing was pushed" in submit("dev")
    assert "nothing was pushed" in submit("dev", pull_request=True)
    assert hub.head == before
    assert branches(hub) == ["main"]
    assert not gh.exists()


def test_a_promotion_is_rebased_on_what_was_merged_meanwhile(hub: Repository, tmp_path: Path) -> None:
    promote("1.0.0", "dev", verified=verified)
    merge_elsewhere(hub, tmp_path, "README.md", "more\n")

    submit("dev")

    assert hub.git("log", "--format=%s").splitlines()[:2] == ["Promote 1.0.0 to dev", "somebody else's"]


def test_a_merge_between_fetch_and_push_causes_a_retry(hub: Repository, repository: Repository, tmp_path: Path) -> None:
    promote("1.0.0", "dev", verified=verified)
    other = commit_elsewhere(hub, tmp_path, "README.md", "more\n")
    # It arrives once, during the first push.
    hook = repository.path / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\nrm $0\nunset GIT_DIR\ngit -C {other.path} push --quiet origin main\n")
    hook.chmod(0o755)

    assert submit("dev") == "main has what dev shall run"
    assert hub.git("log", "--format=%s").splitlines()[:2] == ["Promote 1.0.0 to dev", "somebody else's"]


def test_a_record_changed_meanwhile_is_not_overwritten(hub: Repository, repository: Repository, tmp_path: Path) -> None:
    promote("1.0.0", "dev", verified=verified)
    merge_elsewhere(hub, tmp_path, str(Record("dev").path), "VERSION=9.9.9\n")
    before = hub.head

    with pytest.raises(Failure, match="does not fit main as it is by now"):
        submit("dev")
    assert hub.head == before
    assert repository.git("status", "--porcelain", "--branch").startswith("## main"), "no rebase is left half done"


@pytest.mark.parametrize("pull_request", [False, True])
def test_only_the_record_is_pushed(repository: Repository, hub: Repository, gh: Path, *, pull_request: bool) -> None:
    promote("1.0.0", "dev", verified=verified)
    (repository.path / "app.py").write_text("import os\n")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "smuggled")
    before = hub.head

    with pytest.raises(Failure, match=r"more is committed here than the record of dev: app\.py"):
        submit("dev", pull_request=pull_request)
    assert hub.head == before
    assert not gh.exists()


@pytest.mark.usefixtures("hub")
def test_the_record_of_another_environment_is_not_pushed() -> None:
    promote("1.0.0", "dev", verified=verified)

    with pytest.raises(Failure, match=r"more is committed here than the record of test: deploy/environments/dev\.env"):
        submit("test")


def test_a_protected_main_gets_a_pull_request(hub: Repository, gh: Path, repository: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)
    protect(hub)
    branch = f"dev-{repository.head[:12]}"

    assert submit("dev") == "main has what dev shall run once this is merged: https://github.com/me/x/pull/7"
    assert branches(hub) == [branch, "main"]
    assert release("1.0.0").digest in dev(hub, branch)
    assert release("1.0.0").digest not in dev(hub)
    assert gh.read_text() == f"pr create --fill --base main --head {branch}\n"


def test_a_requested_pull_request_leaves_an_unprotected_main_alone(hub: Repository, gh: Path) -> None:
    promote("1.0.0", "dev", verified=verified)
    before = hub.head

    assert "https://github.com/me/x/pull/7" in submit("dev", pull_request=True)
    assert hub.head == before
    assert gh.exists()


def test_if_no_pull_request_may_be_opened_a_warning_says_what_to_do(
    hub: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = "echo GitHub Actions is not permitted to create or approve pull requests >&2; exit 1"
    program(tmp_path / "bin", "gh", refusal, monkeypatch)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/x")
    promote("1.0.0", "dev", verified=verified)
    protect(hub)

    assert submit("dev") == "main takes no push from here, and what dev shall run is not recorded yet"
    [warning] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::warning::")]
    assert "not permitted to create" in warning
    assert "https://github.com/me/x/compare/main...dev-" in warning
    with pytest.raises(Failure, match="not permitted to create"):
        submit("dev", pull_request=True)


def test_no_pull_request_is_opened_for_a_rejected_branch(hub: Repository, gh: Path) -> None:
    promote("1.0.0", "dev", verified=verified)
    protect(hub, "refs/heads/")

    with pytest.raises(Failure, match=r"the branch dev-[0-9a-f]{12} cannot be pushed"):
        submit("dev", pull_request=True)
    assert not gh.exists()


def test_a_hub_that_does_not_answer_is_a_failure(hub: Repository, repository: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)
    repository.git("remote", "set-url", "origin", str(hub.path.parent / "gone.git"))

    with pytest.raises(Failure, match="main cannot be fetched"):
        submit("dev")


@pytest.mark.usefixtures("hub")
def test_git_gets_the_token_of_a_workflow_but_not_as_an_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    program(tmp_path / "bin", "git", f'echo "$@" >>{seen}; exec {shutil.which("git")} "$@"', monkeypatch)
    monkeypatch.setenv("GH_TOKEN", "ghs_secret")
    promote("1.0.0", "dev", verified=verified)

    submit("dev")

    assert "-c credential.helper= -c credential.helper=!gh auth git-credential push" in seen.read_text()
    assert "ghs_secret" not in seen.read_text()


def test_a_deploy_key_is_used_over_ssh_with_a_known_host_key(
    hub: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replacement for ssh records its arguments and acts as the server."""
    seen = tmp_path / "seen"
    script = f"""
for word; do
    case $word in UserKnownHostsFile=*) cat "${{word#*=}}" >>{seen} ;; esac
    case $before in -i) stat -c %a "$word" >>{seen}; cat "$word" >>{seen} ;; esac
    before=$word
done
echo "$@" >>{seen}
cd {hub.path.parents[1]} && eval "$(echo "$before" | sed "s: '/: ':")"
"""
    program(tmp_path / "bin", "ssh", script, monkeypatch)
    monkeypatch.setenv("SHIP_DEPLOY_KEY", "-----BEGIN KEY-----")
    monkeypatch.setenv("GITHUB_REPOSITORY", "me/x")
    promote("1.0.0", "dev", verified=verified)

    assert submit("dev") == "main has what dev shall run"

    lines = seen.read_text().splitlines()
    assert lines[:3] == ["600", "-----BEGIN KEY-----", f"{GITHUB} {HOST_KEY}"]
    assert all(f"-o {option}=yes" in lines[3] for option in ("StrictHostKeyChecking", "IdentitiesOnly", "BatchMode"))
    assert "git@github.com" in lines[3]
    key = lines[3].split("-i ")[1].split()[0]
    assert not Path(key).exists(), "the key is deleted after use"
    assert release("1.0.0").digest in dev(hub)


def test_a_file_that_a_later_commit_deletes_is_not_pushed(hub: Repository, repository: Repository) -> None:
    before = hub.head
    (repository.path / "leak.txt").write_text("a secret\n")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "oops")
    repository.git("rm", "--quiet", "leak.txt")
    repository.git("commit", "--quiet", "--message", "gone")
    promote("1.0.0", "dev", verified=verified)

    with pytest.raises(Failure, match=r"more is committed here than the record of dev: leak\.txt"):
        submit("dev")
    assert hub.head == before


def test_a_rebase_in_progress_is_left_alone(hub: Repository, repository: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)
    under_way = repository.path / ".git" / "rebase-merge"
    under_way.mkdir()

    with pytest.raises(Failure, match="a rebase is under way"):
        submit("dev")
    assert under_way.exists()
    assert "1.0.0" not in dev(hub)


@pytest.mark.usefixtures("hub")
def test_uncommitted_changes_are_kept(repository: Repository) -> None:
    promote("1.0.0", "dev", verified=verified)
    head, record = repository.head, repository.path / Record("dev").path
    record.write_text(record.read_text() + "\n# a note\n")

    with pytest.raises(Failure, match="changes that are not committed") as refused:
        submit("dev")
    assert (refused.value.remedy, repository.head) == ("git stash; what is committed stays", head)
    assert record.read_text().endswith("# a note\n")


def test_tags_are_not_pushed(hub: Repository, repository: Repository) -> None:
    """A version tag starts a release."""
    repository.git("config", "push.followTags", "true")
    promote("1.0.0", "dev", verified=verified)
    repository.git("tag", "--annotate", "--message", "mine", "v9.9.9")

    submit("dev")

    assert hub.git("tag", "--list") == ""
