"""The record of an environment: the release it should run, in `deploy/environments/ENV.env`, with its history in Git.

Only commits count: the history of these files is the audit log. Their format is in `record_file`.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from scripts import ROOT, git
from scripts.environments.record_file import Fields, parse, restore, with_release
from scripts.errors import Failure
from scripts.grammar import Revision
from scripts.oci.labels import Release

# In the order of promotion.
ENVIRONMENTS = ("dev", "test", "prod")
# The latest time that `datetime` can hold, in the year 9999; a commit may claim a later one.
LATEST = 253402300799


@dataclass(frozen=True)
class Entry:
    """One commit that gave an environment a release."""

    release: Release
    commit: Revision
    author: str
    epoch: int
    """Time of the commit in seconds since 1970 UTC."""


@dataclass(frozen=True)
class Record:
    """The committed record of one environment."""

    environment: str

    @property
    def path(self) -> Path:
        """Its path in the checkout."""
        return Path("deploy", "environments", f"{self.environment}.env")

    @property
    def content(self) -> bytes:
        """The content of the file. Raises Failure when the commit has no such file."""
        content = self._committed
        if content is not None and git.tree("HEAD", [str(self.path)], root=ROOT)[0].mode == git.LINK:
            raise Failure(f"{self.path} is a link, but a record must be a file", f"git log --patch {self.path}")
        if content is None:
            raise Failure(f"the last commit has no file {self.path}", f"see its history: git log --patch {self.path}")
        return content

    @property
    def fields(self) -> Fields:
        """Its fields. Raises Failure when it breaks the format."""
        return parse(self.content, str(self.path))

    @property
    def edited(self) -> bool:
        """Whether the file in the work tree differs from the committed one."""
        try:
            return (ROOT / self.path).read_bytes() != self._committed
        except OSError:  # missing, or not a file
            return self._committed is not None

    def history(self) -> list[Entry]:
        """Return the releases of the environment on this branch, oldest first; a merge counts once.

        A commit that keeps the release (a new URL, a comment) is no entry, and a malformed record gave no release.
        Raises Failure in a shallow clone, which lacks part of the history.
        """
        require_history()
        # rev-list rather than log: no setting of the user changes its output.
        listed = git.data(
            "rev-list", "--first-parent", "--reverse", "--encoding=UTF-8", "--timestamp", "--format=%aN", "HEAD", "--",
            str(self.path), root=ROOT,
        )  # fmt: skip
        # Two lines for each commit: `EPOCH commit REVISION`, which Git can read from any commit, and the author's name.
        rows = [row.decode(errors="replace") for row in listed.split(b"\n")]
        commits = [(*head.split(" commit "), author) for head, author in zip(rows[::2], rows[1::2], strict=False)]
        contents = git.contents((f"{commit}:./{self.path}" for _, commit, _ in commits), root=ROOT)
        entries, last = [], None
        for (epoch, commit, author), content in zip(commits, contents, strict=True):
            release = self._release(content)
            if release and release != last:
                entries.append(Entry(release, Revision(commit), author, min(int(epoch), LATEST)))
            last = release
        return entries

    def stack(self) -> list[Entry]:
        """Return the history without the releases that were rolled back, the current entry last.

        A release that occurs again removes everything after its first entry, so rolling back twice never goes forward.
        """
        held: list[Entry] = []
        for entry in self.history():
            releases = [other.release for other in held]
            place = releases.index(entry.release) if entry.release in releases else len(held)
            held[place:] = [entry]
        return held

    def follows(self, later: Revision, earlier: Revision) -> bool:
        """Return whether `earlier` is an ancestor of the commit `later` in this clone."""
        return git.ask("merge-base", "--is-ancestor", earlier, later, root=ROOT).returncode == 0

    def require_writable(self) -> None:
        """Raise Failure unless this record can be committed safely, on a branch."""
        require_history()
        parse(self.content, str(self.path))
        self._require_unedited()
        if git.ask("symbolic-ref", "--quiet", "HEAD", root=ROOT).returncode:
            raise Failure("no branch is checked out, so a commit would be lost", "git switch main")

    def commit(self, release: Release, subject: str, trailers: Mapping[str, str]) -> None:
        """Write `release` into the record and commit this file alone, whatever else is staged.

        The message ends with the change and `trailers`, for `git log --format='%(trailers)'`. When the commit fails,
        the release is restored; changes that somebody else made to the file meanwhile stay.
        """
        content, before = self.content, self.fields.release
        written = with_release(content, release)
        parse(written, str(self.path))
        facts = {
            "Digest": release.digest,
            "Revision": release.revision,
            "Replaces": f"{before.version} {before.digest}" if before else "nothing",
            **trailers,
        }
        message = f"{subject}\n\n" + "".join(f"{name}: {value}\n" for name, value in facts.items())
        self._require_unedited()
        try:
            _write(ROOT / self.path, written)
            self._commit(message)
        except BaseException:
            if self.content != written:  # else the commit was made before it was stopped
                self._restore(written, content)
            raise
        if self.content != written:
            raise Failure(
                f"the committed {self.path} is not the verified one: a hook or a filter of Git changed it",
                f"git show HEAD -- {self.path}; to undo it: git revert HEAD",
            )

    @property
    def _committed(self) -> bytes | None:
        return git.contents([f"HEAD:./{self.path}"], root=ROOT)[0]

    def _release(self, content: bytes | None) -> Release | None:
        """Return the release in `content`, None when it has none or breaks the format."""
        try:
            return parse(content or b"", str(self.path)).release
        except Failure:
            return None

    def _require_unedited(self) -> None:
        if self.edited:
            raise Failure(
                f"{self.path} has uncommitted changes",
                f"git diff HEAD {self.path}; commit a URL, undo anything else: git checkout HEAD {self.path}",
            )

    def _commit(self, message: str) -> None:
        done = git.ask("commit", "--quiet", "--only", "--message", message, "--", str(self.path), root=ROOT)
        if done.returncode:
            raise Failure(f"git commit: {done.words}", "nothing was changed: solve that, then run it again")

    def _restore(self, written: bytes, before: bytes) -> None:
        path = ROOT / self.path
        try:
            found = path.read_bytes()
        except OSError as gone:
            raise Failure(f"{self.path} can no longer be read: {gone.strerror}", f"git checkout {self.path}") from gone
        _write(path, restore(found, written, before))


def require_history() -> None:
    """Raise Failure in a shallow clone, and outside a repository."""
    if git.line("rev-parse", "--is-shallow-repository", root=ROOT) == "true":
        raise Failure(
            "this is a shallow clone, and the whole history is needed to know what ran where",
            "git fetch --unshallow; in a workflow, actions/checkout with fetch-depth: 0",
        )


def _write(path: Path, content: bytes) -> None:
    """Replace the file at `path` atomically: a reader sees the old content or the new, never a mixture."""
    new = None
    try:
        descriptor, new = mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        shutil.copymode(path, new)
        Path(new).replace(path)
    except OSError as failed:
        where = path.relative_to(ROOT)
        raise Failure(
            f"{where} cannot be written: {failed.strerror}", f"solve that, then check the file: git diff {where}"
        ) from failed
    finally:
        if new:
            Path(new).unlink(missing_ok=True)
