"""`./ship submit`: the commit of a promotion on its way to main, or into a pull request where main takes no push."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scripts import ROOT, checkout, git
from scripts.environments.record import Record
from scripts.errors import Failure
from scripts.github import actions
from scripts.process import Ended, Environment, Limit, attempt

MAIN = "main"
# How often to go on from what somebody else has merged meanwhile.
ATTEMPTS = 3
LIMIT = Limit(60, "GitHub")
# What Git says of a push that a rule of the server refuses, whatever main's last commit is.
RULED_OUT = re.compile(r"\[remote rejected\] .*\(.*\bdeclined\b")
# https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/githubs-ssh-key-fingerprints
GITHUB, HOST_KEY = "github.com", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


@dataclass(frozen=True)
class Remote:
    """Where to push, and as whom."""

    url: str
    options: tuple[str, ...] = ()
    """Git's own, ahead of its command."""
    environment: Environment | None = None

    def git(self, command: str, *arguments: str) -> Ended:
        options = (*self.options, command, "--quiet", "--", self.url, *arguments)
        return git.ask(*options, root=ROOT, env=self.environment, limit=LIMIT)

    def push(self, what: str) -> Ended:
        """Push `what`, and no tag, whatever the user set: a tag of a version starts a release."""
        return replace(self, options=("-c", "push.followTags=false", *self.options)).git("push", what)


def submit(environment: str, *, pull_request: bool = False) -> str:
    """Push what was committed to the record of `environment` to main, and return what that did.

    It is pushed with SHIP_DEPLOY_KEY where that is set, else with GH_TOKEN, else as whoever this is. Where main takes
    no push from there, or with `pull_request`, a pull request is opened. Where not even that is allowed, a warning says
    what to do, because the image itself is published and well.

    Raises Failure when something else than the record was committed, when main changed the record meanwhile, when
    GitHub cannot be reached, and with `pull_request` when none could be opened.
    """
    with _remote() as remote:
        for _ in range(ATTEMPTS):
            if not _ahead(remote, environment):
                return f"{MAIN} has what {environment} shall run already; nothing was pushed"
            if pull_request:
                return _open(remote, environment)
            done = remote.push(f"HEAD:refs/heads/{MAIN}")
            if not done.returncode:
                return f"{MAIN} has what {environment} shall run"
            if RULED_OUT.search(done.stderr):
                return _open_or_warn(remote, environment)
            if "rejected]" not in done.stderr:  # else main has a commit more by now, and is looked at again
                raise Failure(f"{MAIN} cannot be pushed to: {done.words}", "see that the token may write contents")
    raise Failure(f"{MAIN} has moved on {ATTEMPTS} times while this was pushed", f"./ship submit {environment}")


@contextmanager
def _remote() -> Iterator[Remote]:
    """Give where to push to: over SSH with SHIP_DEPLOY_KEY, which a ruleset can let through, or as GH_TOKEN."""
    key, server = os.environ.get("SHIP_DEPLOY_KEY"), os.environ.get("GITHUB_SERVER_URL", f"https://{GITHUB}")
    if not key:
        helper = ("-c", "credential.helper=", "-c", "credential.helper=!gh auth git-credential")
        yield Remote("origin", helper if os.environ.get("GH_TOKEN") else ())
        return
    host = server.removeprefix("https://")
    with tempfile.TemporaryDirectory() as folder:
        private, known = Path(folder, "key"), Path(folder, "known_hosts")
        private.touch(mode=0o600)
        private.write_text(f"{key.strip()}\n", encoding="utf-8")
        known.write_text(f"{GITHUB} {HOST_KEY}\n", encoding="utf-8")
        options = ["-F none", "-o IdentitiesOnly=yes", "-o BatchMode=yes", f"-i '{private}'"]
        if host == GITHUB:
            options += ["-o StrictHostKeyChecking=yes", f"-o UserKnownHostsFile='{known}'"]
        url = f"ssh://git@{host}/{os.environ.get('GITHUB_REPOSITORY', '')}.git"
        yield Remote(url, environment={"GIT_SSH_COMMAND": " ".join(["ssh", *options])})


def _ahead(remote: Remote, environment: str) -> bool:
    """Put what is committed here on top of main as it is by now, and return whether that is anything.

    Raises Failure when it is more than the record, or does not fit any more.
    """
    fetched = remote.git("fetch", f"+refs/heads/{MAIN}:refs/remotes/origin/{MAIN}")
    if fetched.returncode:
        raise Failure(
            f"{MAIN} cannot be fetched: {fetched.words}",
            "see that the network and the remote origin are right: git remote -v",
        )
    _require_record_alone(environment)
    try:
        rebased = git.ask("rebase", "--quiet", f"refs/remotes/origin/{MAIN}", root=ROOT, limit=Limit(60, "Git"))
    except BaseException:
        git.ask("rebase", "--abort", root=ROOT)
        raise
    if rebased.returncode:
        git.ask("rebase", "--abort", root=ROOT)
        raise Failure(
            f"what was committed here does not fit {MAIN} as it is by now: {rebased.words}",
            f"git reset --keep origin/{MAIN}, then ./ship promote … {environment} again",
        )
    return bool(git.data("diff", "--name-only", "-z", f"refs/remotes/origin/{MAIN}", "HEAD", root=ROOT))


def _require_record_alone(environment: str) -> None:
    """Raise Failure unless each commit that main lacks changes the record and nothing else, and none is being made."""
    for state in ("rebase-merge", "rebase-apply"):
        if Path(ROOT, git.line("rev-parse", "--git-path", state, root=ROOT)).exists():
            raise Failure("a rebase is under way in this clone", "git rebase --continue, or git rebase --abort")
    if git.data("status", "--porcelain", "-z", "--untracked-files=no", root=ROOT):
        raise Failure("there are changes that are not committed", "git stash; what is committed stays")
    lacking = f"refs/remotes/origin/{MAIN}..HEAD"
    changed = git.data("log", "--format=", "--name-only", "-z", "-m", lacking, root=ROOT)
    names = sorted({os.fsdecode(name) for name in changed.split(b"\0") if name})
    if other := [name for name in names if name != str(Record(environment).path)]:
        raise Failure(f"more is committed here than the record of {environment}: {', '.join(other)}", "git log")


def _open(remote: Remote, environment: str) -> str:
    """Open a pull request with what is committed here. Raises Failure when that cannot be done."""
    branch = f"{environment}-{git.line('rev-parse', 'HEAD', root=ROOT)[:12]}"
    pushed = remote.push(f"HEAD:refs/heads/{branch}")
    if pushed.returncode:
        raise Failure(f"the branch {branch} cannot be pushed: {pushed.words}", "see that the token may write contents")
    created = attempt("gh", "pr", "create", "--fill", "--base", MAIN, "--head", branch, cwd=ROOT, limit=LIMIT)
    if created.returncode:
        raise Failure(
            f"the branch {branch} is pushed, and a pull request could not be opened: {created.words}",
            f"open it: {checkout.repository(ROOT)}/compare/{MAIN}...{branch}; what a workflow may do is set in "
            "Settings → Actions → General",
        )
    found = re.findall(r"https://\S+", created.text)
    return f"{MAIN} has what {environment} shall run once this is merged: {found[-1] if found else branch}"


def _open_or_warn(remote: Remote, environment: str) -> str:
    """Open a pull request, or say what to do instead."""
    try:
        return _open(remote, environment)
    except Failure as refused:
        actions.warn(f"What {environment} shall run is not recorded yet: {refused.reason}. Next: {refused.remedy}")
        return f"{MAIN} takes no push from here, and what {environment} shall run is not recorded yet"
