"""The checkout: its origin, its commit, and a fingerprint of its files."""

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts import ROOT, git
from scripts.grammar import Revision, WorkTree


@dataclass(frozen=True)
class Commit:
    """The commit that is checked out."""

    revision: Revision
    epoch: int
    """Time of the commit in seconds since 1970 UTC: the only time that enters the image."""
    dirty: bool = False
    """Whether the work tree differs from the commit."""

    @property
    def work_tree(self) -> WorkTree:
        """The revision on the labels of an image built from here."""
        return WorkTree(f"{self.revision}-dirty" if self.dirty else self.revision)

    @property
    def created(self) -> str:
        """`epoch` in RFC 3339, for the OCI annotation `created`."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit(root: Path | None = None) -> Commit:
    """Return the commit that is checked out in `root`, or in this checkout.

    Raises Failure outside a Git checkout, or before the first commit.
    """
    where = root or ROOT
    # --timestamp reads the raw commit: a format would re-encode it first, which loses the time of one in UTF-16.
    epoch, revision = git.line("rev-list", "-1", "--timestamp", "HEAD", "--", root=where).split()
    # Explicit options, because the user's settings can hide changes.
    changed = git.data("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none", root=where)
    return Commit(Revision(revision), int(epoch), dirty=bool(changed))


def repository(root: Path | None = None) -> str:
    """Return the URL of the repository of this checkout or `root`, such as `https://github.com/OWNER/REPOSITORY`.

    In a workflow on GitHub, that is the repository of the workflow; elsewhere the remote `origin` without credentials,
    or an empty string if there is none.
    """
    if "GITHUB_REPOSITORY" in os.environ:
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{os.environ['GITHUB_REPOSITORY']}"
    origin = git.line("config", "--default", "", "--get", "remote.origin.url", root=root or ROOT)
    found = re.fullmatch(
        r"(?:https://|ssh://)?(?:[^@/]+@)?([\w-]+(?:\.[\w-]+)+)(?::\d+/|[:/])(.+?)(?:\.git)?/?", origin
    )
    return f"https://{found[1]}/{found[2]}" if found else ""


def is_in(revision: Revision, branch: str, root: Path | None = None) -> bool:
    """Return whether `branch`, local or of `origin`, contains the commit `revision`, in this checkout or `root`.

    HEAD counts as a branch.
    """
    names = (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}", *(["HEAD"] if branch == "HEAD" else []))
    asked = (git.ask("merge-base", "--is-ancestor", revision, name, root=root or ROOT) for name in names)
    return any(done.returncode == 0 for done in asked)


def fingerprint() -> str:
    """Return a sha256 over the names and contents of all files that Git tracks or would track."""
    total = hashlib.sha256()
    for name in sorted(filter(None, git.data("ls-files", "-coz", "--exclude-standard", root=ROOT).split(b"\0"))):
        path = ROOT / os.fsdecode(name)
        content = path.read_bytes() if path.is_file() else b""
        total.update(name + f"\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()
