"""The checkout: where it is, which commit and version it stands at, and a fingerprint of its files."""

import hashlib
import subprocess
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts.failure import Failure

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"


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
