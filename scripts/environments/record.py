"""The record of an environment: what it shall run, in `deploy/environments/ENV.env`, and since when, in Git.

Only what is committed counts: the history of these files is the audit log. `record_file` has their format.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp

from scripts import ROOT, git
from scripts.environments.record_file import Fields, parse, taken_back, with_release
from scripts.errors import Failure
from scripts.grammar import Revision
from scripts.oci.labels import Release

# In the order in which a release goes through them.
ENVIRONMENTS = ("dev", "test", "prod")
# The latest time that `datetime` can hold, in the year 9999. A commit may claim a later one.
LATEST = 253402300799


@dataclass(frozen=True)
class Entry:
    """That a commit gave an environment a release."""

    release: Release
    commit: Revision
    author: str
    epoch: int
    """Seconds since 1970 UTC at which it was committed."""


@dataclass(frozen=True)
class Record:
    """The record of one environment, as it is committed."""

    environment: str

    @property
    def path(self) -> Path:
        """Where it is, from the root of the checkout."""
        return Path("deploy", "environments", f"{self.environment}.env")

    @property
    def content(self) -> bytes:
        """The file. Raises Failure when there is none."""
        content = self._committed
        if content is not None and git.tree("HEAD", [str(self.path)], root=ROOT)[0].mode == git.LINK:
            raise Failure(f"{self.path} is a link, and a record is a file", f"git log --patch {self.path}")
        if content is None:
            raise Failure(f"the last commit has no file {self.path}", f"what became of it: git log --patch {self.path}")
        return content

    @property
    def fields(self) -> Fields:
        """What it says. Raises Failure when it breaks the format of records."""
        return parse(self.content, str(self.path))

    @property
    def edited(self) -> bool:
        """Whether the file differs from what is committed."""
        try:
            return (ROOT / self.path).read_bytes() != self._committed
        except OSError:  # not there, or no file
            return self._committed is not None

    def history(self) -> list[Entry]:
        """Return what the environment was given, the oldest first, as this branch saw it: a merge counts, once.

        A commit that left the release as it was (a URL, a comment) is no entry, and a record that broke the format
        gave nothing. Raises Failure in a shallow clone, which does not have all of it.
        """
        require_history()
        # rev-list and not log: no setting of the user changes what it prints.
        listed = git.data(
            "rev-list", "--first-parent", "--reverse", "--encoding=UTF-8", "--timestamp", "--format=%aN", "HEAD", "--",
            str(self.path), root=ROOT,
        )  # fmt: skip
        # Two lines each: `EPOCH commit REVISION`, which is Git's own reading of any commit, and the author's name.
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
        """Return the history without what was gone back from, the current entry last.

        A release that is further down takes everything above it away, so that going back twice never goes forward.
        """
        held: list[Entry] = []
        for entry in self.history():
            releases = [other.release for other in held]
            place = releases.index(entry.release) if entry.release in releases else len(held)
            held[place:] = [entry]
        return held

    def follows(self, later: Revision, earlier: Revision) -> bool:
        """Return whether the commit `later` is built on `earlier`, as far as this clone knows."""
        return git.ask("merge-base", "--is-ancestor", earlier, later, root=ROOT).returncode == 0

    def require_writable(self) -> None:
        """Raise Failure unless a commit of this record would be safe and would stay."""
        require_history()
        parse(self.content, str(self.path))
        self._require_unedited()
        if git.ask("symbolic-ref", "--quiet", "HEAD", root=ROOT).returncode:
            raise Failure("no branch is checked out, so a commit would be in no history", "git switch main")

    def commit(self, release: Release, subject: str, trailers: Mapping[str, str]) -> None:
        """Write `release` into the record and commit this file alone, whatever else is staged.

        The message ends with what changes and with `trailers`, both for `git log --format='%(trailers)'`. When the
        commit fails, the release is as it was; what somebody else wrote into the file meanwhile stays.
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
            if self.content != written:  # else it was stopped when the commit was made already
                self._take_back(written, content)
            raise
        if self.content != written:
            raise Failure(
                f"what was committed to {self.path} is not what was verified: a hook or a filter of Git changed it",
                f"git show HEAD -- {self.path}; take it back: git revert HEAD",
            )

    @property
    def _committed(self) -> bytes | None:
        return git.contents([f"HEAD:./{self.path}"], root=ROOT)[0]

    def _release(self, content: bytes | None) -> Release | None:
        """Return what the record gave when this was its content; None too when that broke the format."""
        try:
            return parse(content or b"", str(self.path)).release
        except Failure:
            return None

    def _require_unedited(self) -> None:
        if self.edited:
            raise Failure(
                f"{self.path} has changes that are not committed",
                f"git diff HEAD {self.path}; commit a URL, take anything else back: git checkout HEAD {self.path}",
            )

    def _commit(self, message: str) -> None:
        done = git.ask("commit", "--quiet", "--only", "--message", message, "--", str(self.path), root=ROOT)
        if done.returncode:
            raise Failure(f"git commit: {done.words}", "nothing was changed: mend that, and run it again")

    def _take_back(self, written: bytes, before: bytes) -> None:
        path = ROOT / self.path
        try:
            found = path.read_bytes()
        except OSError as gone:
            raise Failure(
                f"{self.path} cannot be read any more: {gone.strerror}", f"git checkout {self.path}"
            ) from gone
        _write(path, taken_back(found, written, before))


def require_history() -> None:
    """Raise Failure in a clone that does not have its whole history, and where there is none."""
    if git.line("rev-parse", "--is-shallow-repository", root=ROOT) == "true":
        raise Failure(
            "this clone has no whole history, and the history says what ran where",
            "git fetch --unshallow; in a workflow, actions/checkout with fetch-depth: 0",
        )


def _write(path: Path, content: bytes) -> None:
    """Replace the file at `path` at once: a reader sees the old content or the new one, never a mixture."""
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
            f"{where} cannot be written: {failed.strerror}", f"then see that it is whole: git diff {where}"
        ) from failed
    finally:
        if new:
            Path(new).unlink(missing_ok=True)
