"""Git: output as bytes, parsed by NUL, and no name in a repository can be taken for an option."""

import io
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts import ROOT
from scripts.errors import Failure
from scripts.process import Ended, Environment, Limit, attempt

# The first line of a Git LFS pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
LFS = b"version https://git-lfs.github.com/spec/"
EXECUTABLE, LINK, SUBMODULE = "100755", "120000", "160000"
# Variables that select a repository. Git sets them for its hooks; here the working directory decides.
# `git rev-parse --local-env-vars` lists them. The settings among them (GIT_CONFIG_…) are the user's and stay.
_OF_A_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
# `git replace` must not substitute commits, and `_refused` reads English.
_ENVIRONMENT: Environment = {**dict.fromkeys(_OF_A_REPOSITORY), "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}


@dataclass(frozen=True)
class Entry:
    """A file in a commit."""

    mode: str
    name: str
    """Of its object in Git's database."""
    path: str


def ask(*arguments: str, root: Path | None = None, env: Environment | None = None, limit: Limit | None = None) -> Ended:
    """Run Git in `root` or this checkout, with `env` added, and return how it ended.

    Raises Failure when `limit` has passed.
    """
    return attempt("git", *arguments, env={**_ENVIRONMENT, **(env or {})}, cwd=root or ROOT, limit=limit)


def data(*arguments: str, root: Path | None = None) -> bytes:
    """Run Git in `root` or this checkout, and return its output. Raises Failure with Git's reason."""
    done = ask(*arguments, root=root)
    if done.returncode:
        raise _refused(arguments[0], done)
    return done.stdout


def line(*arguments: str, root: Path | None = None) -> str:
    """Run Git in `root` or this checkout, and return the one line that it prints."""
    return data(*arguments, root=root).decode(errors="replace").strip()


def tree(revision: str, paths: Sequence[str] = (), root: Path | None = None) -> list[Entry]:
    """Return every file in the commit `revision`, or those at `paths` and below."""
    listed = data("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", revision, *paths, root=root)
    entries = []
    for row in filter(None, listed.split(b"\0")):
        facts, _, path = row.partition(b"\t")
        mode, _, name = facts.decode("ascii").split()
        try:
            entries.append(Entry(mode, name, path.decode()))
        except UnicodeDecodeError as odd:
            raise Failure(f"the commit {revision[:12]} has a file whose name is not UTF-8: {path!r}") from odd
    return entries


def contents(names: Iterable[str], root: Path | None = None) -> list[bytes | None]:
    """Return the content of each of `names` (`COMMIT:PATH` or an object) in one call; None if it is not a file."""
    asked = list(names)
    lines = "".join(f"{name}\n" for name in asked)
    done = attempt("git", "cat-file", "--batch", env=_ENVIRONMENT, cwd=root or ROOT, stdin=lines.encode())
    if done.returncode:
        raise _refused("cat-file", done)
    answer, found = io.BytesIO(done.stdout), []
    for _ in asked:
        head = answer.readline().split()
        there = len(head) == 3 and head[2].isdigit()
        content = answer.read(int(head[2]) + 1)[:-1] if there else None
        found.append(content if there and head[1] == b"blob" else None)
    return found


def export(revision: str, folder: Path, paths: Sequence[str] = (), root: Path | None = None) -> None:
    """Replace `folder` by the files of the commit `revision`, or those at `paths`, byte for byte.

    Settings, filters, attributes and ignored files of the checkout have no effect. Raises Failure for submodules and
    Git LFS, whose files are not in the commit.
    """
    entries = tree(revision, paths, root)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for entry, content in zip(entries, contents((entry.name for entry in entries), root), strict=True):
        if entry.mode == SUBMODULE or content is None:
            raise Failure(f"{entry.path} is a submodule, so it is not in the commit", "commit the files themselves")
        if content.startswith(LFS):
            raise Failure(f"{entry.path} is in Git LFS, so it is not in the commit", "commit the file itself")
        if ".." in Path(entry.path).parts or Path(entry.path).is_absolute():
            raise Failure(f"the commit {revision[:12]} has a file outside its folder: {entry.path}")
        if not (folder / entry.path).parent.resolve().is_relative_to(folder.resolve()):
            raise Failure(f"the commit {revision[:12]} has a link instead of a folder of {entry.path}")
        _write(folder / entry.path, entry.mode, content)


def _write(path: Path, mode: str, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == LINK:
        path.symlink_to(os.fsdecode(content))
    else:
        path.write_bytes(content)
        path.chmod(0o755 if mode == EXECUTABLE else 0o644)


def _refused(verb: str, done: Ended) -> Failure:
    message = done.stderr.strip() or f"exit status {done.returncode}"
    reason, _, advice = message.partition("\n")
    if "dubious ownership" in reason:  # Git's advice is in the last line
        return Failure(reason.removeprefix("fatal: "), advice.strip().rpartition("\n")[2].strip())
    return Failure(f"git {verb}: {reason}", "run ./ship in a clone that has at least one commit")
