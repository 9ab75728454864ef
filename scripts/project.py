"""The checkout: where it is, which commit and version it stands at, and a fingerprint of its files."""

import hashlib
import os
import re
import subprocess
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.failure import Failure

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
# Of the versions that Python knows (PEP 440), those that are also a tag and have three numbers to make tags of.
RELEASE = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")


@dataclass(frozen=True)
class Commit:
    """The commit that is checked out."""

    revision: str
    """All 40 hexadecimal digits; `-dirty` follows when files differ from the commit."""
    epoch: int
    """Seconds since 1970 UTC at which it was committed: the only time that enters the image."""

    @property
    def dirty(self) -> bool:
        return self.revision.endswith("-dirty")

    @property
    def created(self) -> str:
        """`epoch` as RFC 3339, as the OCI annotation `created` wants it."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit(root: Path | None = None) -> Commit:
    """Return the commit that is checked out here, or in `root`.

    Raises Failure outside a Git checkout, or before the first commit.
    """
    revision, epoch = _git("log", "-1", "--format=%H %ct", root=root).split()
    dirty = "-dirty" if _git("status", "--porcelain", root=root) else ""
    return Commit(revision + dirty, int(epoch))


def version() -> str:
    """Return the version in pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def repository(root: Path | None = None) -> str:
    """Return where this checkout, or that in `root`, is from, such as `https://github.com/OWNER/REPOSITORY`.

    Nothing when Git does not know.

    On GitHub that is the repository whose workflow runs; elsewhere the remote `origin`, without credentials.
    """
    if "GITHUB_REPOSITORY" in os.environ:
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{os.environ['GITHUB_REPOSITORY']}"
    origin = _git("config", "--default", "", "--get", "remote.origin.url", root=root)
    found = re.fullmatch(r"(?:https://|ssh://)?(?:[^@/]+@)?([\w-]+(?:\.[\w-]+)+)[:/](.+?)(?:\.git)?/?", origin)
    return f"https://{found[1]}/{found[2]}" if found else ""


def is_in(revision: str, branch: str, root: Path | None = None) -> bool:
    """Return whether the commit `revision` is part of `branch`, in this checkout or in `root`, or at its `origin`.

    HEAD is a branch, too.
    """
    for name in (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}", *(["HEAD"] if branch == "HEAD" else [])):
        try:
            _git("merge-base", "--is-ancestor", revision, name, root=root)
        except Failure:
            continue
        return True
    return False


def fingerprint() -> str:
    """Return a sha256 over the names and contents of all files that Git tracks or would track."""
    total = hashlib.sha256()
    for name in sorted(filter(None, _git("ls-files", "-coz", "--exclude-standard").split("\0"))):
        path = ROOT / name
        content = path.read_bytes() if path.is_file() else b""
        total.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def _git(*arguments: str, root: Path | None = None) -> str:
    done = subprocess.run(["git", *arguments], cwd=root or ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failure(
            f"git {arguments[0]}: {done.stderr.strip()}", "run ./ship in a clone that has at least one commit"
        )
    return done.stdout.strip()
