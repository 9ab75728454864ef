"""The record of an environment: what it shall run, in `deploy/environments/ENV.env`, and since when, in Git.

Only what is committed counts: the history of these files is the audit log. They are dotenv files, so that compose, a
shell and kustomize read them as they are.
"""

import io
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dotenv import dotenv_values

from scripts import ROOT
from scripts.failure import Failure
from scripts.process import attempt, output

# In the order in which a release goes through them.
ENVIRONMENTS = ("dev", "test", "prod")


@dataclass(frozen=True)
class Release:
    """One image: what an environment can run."""

    version: str
    digest: str
    revision: str
    """The commit that it was built from."""

    def __str__(self) -> str:
        return f"{self.version} ({short(self.digest)})"


@dataclass(frozen=True)
class Entry:
    """That a commit gave an environment a release."""

    release: Release
    commit: str
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
    def release(self) -> Release | None:
        """What the environment shall run; None before the first promotion. Raises Failure when it was garbled."""
        fields = self._fields()
        if not any(fields.get(name) for name in Release.__annotations__):
            return None
        if release := _release(fields):
            return release
        raise Failure(
            f"{self.path} needs VERSION, DIGEST and REVISION, all three or none", f"git log --patch {self.path}"
        )

    @property
    def url(self) -> str:
        """Where the environment answers, as somebody wrote into the record; empty when nobody did."""
        return self._fields().get("url", "")

    @property
    def edited(self) -> bool:
        """Whether the file differs from what is committed."""
        return bool(output("git", "status", "--porcelain", "--", str(self.path), cwd=ROOT))

    def history(self) -> list[Entry]:
        """Return what the environment was given, the oldest first, as this branch saw it: a merge counts, once.

        Raises Failure in a shallow clone, which does not have all of it.
        """
        if output("git", "rev-parse", "--is-shallow-repository", cwd=ROOT) == "true":
            raise Failure(
                "this clone has no whole history, and the history says what ran where",
                "git fetch --unshallow; in a workflow, actions/checkout with fetch-depth: 0",
            )
        # rev-list and not log: no setting of the user changes what it prints.
        rows = output(
            "git", "rev-list", "--first-parent", "--reverse", "--format=%H%x09%ct%x09%aN", "HEAD", "--",
            str(self.path), cwd=ROOT,
        ).splitlines()[1::2]  # fmt: skip
        commits = [row.split("\t", 2) for row in rows]
        contents = _contents(f"{commit}:{self.path}" for commit, _, _ in commits)
        return [
            Entry(release, commit, author, int(epoch))
            for (commit, epoch, author), text in zip(commits, contents, strict=True)
            if (release := _release(_parsed(text)))
        ]

    def stack(self) -> list[Entry]:
        """Return the history without what was gone back from, the current entry last.

        A release that is further down takes everything above it away, so that going back twice never goes forward.
        An entry that changes nothing of the release (a URL, a comment) is none.
        """
        held: list[Entry] = []
        for entry in self.history():
            digests = [other.release.digest for other in held]
            place = digests.index(entry.release.digest) if entry.release.digest in digests else len(held)
            if place == len(held) or place < len(held) - 1:
                held[place:] = [entry]
        return held

    def require_writable(self) -> None:
        """Raise Failure unless a commit of this record would be safe and would stay."""
        if not (ROOT / self.path).exists():
            raise Failure(f"there is no record {self.path}", f"git log -- {self.path}")
        if self.edited:
            raise Failure(
                f"{self.path} has changes that are not committed",
                f"git diff HEAD {self.path}; commit a URL, take anything else back: git checkout HEAD {self.path}",
            )
        if attempt("git", "symbolic-ref", "--quiet", "HEAD", cwd=ROOT).returncode:
            raise Failure("no branch is checked out, so a commit would be in no history", "git switch main")

    def commit(self, release: Release, subject: str, trailers: Mapping[str, str]) -> None:
        """Write `release` into the record and commit this file alone, whatever else is staged.

        The message ends with what changes and with `trailers`, both for `git log --format='%(trailers)'`. When the
        commit fails, the file is as it was.
        """
        before = self.release
        facts = {
            "Digest": release.digest,
            "Revision": release.revision,
            "Replaces": f"{before.version} {before.digest}" if before else "nothing",
            **trailers,
        }
        message = f"{subject}\n\n" + "".join(f"{name}: {value}\n" for name, value in facts.items())
        try:
            (ROOT / self.path).write_text(_with(release, (ROOT / self.path).read_text(encoding="utf-8")), "utf-8")
            output("git", "commit", "--quiet", "--only", "--message", message, "--", str(self.path), cwd=ROOT)
        except BaseException:
            output("git", "checkout", "--quiet", "--", str(self.path), cwd=ROOT)
            raise

    def _fields(self) -> dict[str, str]:
        return _parsed(_contents([f"HEAD:{self.path}"])[0])


def short(digest: str) -> str:
    """Return as much of a digest as a person compares."""
    return digest[: len("sha256:") + 12]


def _parsed(text: str) -> dict[str, str]:
    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {name.lower(): value for name, value in values.items() if value}


def _with(release: Release, text: str) -> str:
    """Return `text` with `release` in the lines that are for it, and every other line as it is."""
    for name, value in asdict(release).items():
        line = f"{name.upper()}={value}"
        text, places = re.subn(rf"^{name.upper()}=.*$", line, text, flags=re.MULTILINE)
        if not places:
            text = f"{text.rstrip()}\n{line}\n".lstrip()
    return text


def _release(fields: dict[str, str]) -> Release | None:
    names = list(Release.__annotations__)
    return Release(**{name: fields[name] for name in names}) if all(name in fields for name in names) else None


def _contents(names: Iterable[str]) -> list[str]:
    """Return the files `COMMIT:PATH`, in one call of Git however many there are; empty where there was none."""
    asked = list(names)
    done = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=ROOT, input="\n".join(asked).encode(), check=True, capture_output=True
    )
    answer, contents = io.BytesIO(done.stdout), []
    for _ in asked:
        head = answer.readline().split()
        found = head[-1] != b"missing"
        contents.append(answer.read(int(head[2])).decode(errors="replace") if found else "")
        answer.read(int(found))  # the line's end
    return contents
