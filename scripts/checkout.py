"""The checkout: where it is, which commit and version it stands at, and a fingerprint of its files."""

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
    """Seconds since 1970 UTC at which it was committed: the only time that enters the image."""
    dirty: bool = False
    """Whether files differ from it."""

    @property
    def work_tree(self) -> WorkTree:
        """What an image says that it is built from."""
        return WorkTree(f"{self.revision}-dirty" if self.dirty else self.revision)

    @property
    def created(self) -> str:
        """`epoch` as RFC 3339, as the OCI annotation `created` wants it."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit(root: Path | None = None) -> Commit:
    """Return the commit that is checked out here, or in `root`.

    Raises Failure outside a Git checkout, or before the first commit.
    """
    where = root or ROOT
    # Git's own reading of the time: a format re-encodes the commit first, and one in UTF-16 then has none.
    epoch, revision = git.line("rev-list", "-1", "--timestamp", "HEAD", "--", root=where).split()
    # As it is, whatever a user's settings hide or show.
    changed = git.data("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none", root=where)
    return Commit(Revision(revision), int(epoch), dirty=bool(changed))


def repository(root: Path | None = None) -> str:
    """Return where this checkout, or that in `root`, is from, such as `https://github.com/OWNER/REPOSITORY`.

    Nothing when Git does not know.

    On GitHub that is the repository whose workflow runs; elsewhere the remote `origin`, without credentials.
    """
    if "GITHUB_REPOSITORY" in os.environ:
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{os.environ['GITHUB_REPOSITORY']}"
    origin = git.line("config", "--default", "", "--get", "remote.origin.url", root=root or ROOT)
    found = re.fullmatch(
        r"(?:https://|ssh://)?(?:[^@/]+@)?([\w-]+(?:\.[\w-]+)+)(?::\d+/|[:/])(.+?)(?:\.git)?/?", origin
    )
    return f"https://{found[1]}/{found[2]}" if found else ""


def is_in(revision: Revision, branch: str, root: Path | None = None) -> bool:
    """Return whether the commit `revision` is part of `branch`, in this checkout or in `root`, or at its `origin`.

    HEAD is a branch, too.
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
